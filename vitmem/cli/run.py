"""``vitmem run``: run a suite and write its tables."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vitmem.bench.current import finished_ids, outdated_ids, rows_of
from vitmem.bench.journal import rows_in_store
from vitmem.bench.plan import make_plan
from vitmem.bench.plugins import load_plugins
from vitmem.bench.suite import load_suite
from vitmem.bench.suite_checks import remarks
from vitmem.cli.exits import INTERRUPTED, log_to_stderr
from vitmem.cli.options import (
    CacheDir,
    DataDir,
    Device,
    Plugin,
    Results,
    Store,
    SuiteFile,
    Trainer,
    follow_up,
    key_values,
    trainer_options,
)
from vitmem.errors import InputError, VitmemError, unknown
from vitmem.progress import Task, bars, duration
from vitmem.reports.files import check_tables, tables_of, write_tables
from vitmem.reports.naming import edit_label
from vitmem.reports.render import GLOSSARY, counted
from vitmem.reports.report import Report
from vitmem.reports.terminal import paragraph, terminal
from vitmem.rows import Row

if TYPE_CHECKING:
    from vitmem.bench.runner import Execute, Progress
    from vitmem.bench.work import Event

log = logging.getLogger(__name__)
# Number of networks with a printed verdict; the table has the others.
FEW = 4


def run(
    suite: SuiteFile,
    data_dir: DataDir = None,
    workers: Annotated[int, typer.Option(min=1, help="parallel trainings, each with its own cores or its own GPU")] = 1,
    plugin: Plugin = None,
    device: Device = "auto",
    results: Results = Path("results"),
    store: Store = Path("store"),
    only: Annotated[
        list[str] | None, typer.Option(help="the id of a cell, or its first digits; may be repeated")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="print the traceback of a failed cell")] = False,
    progress: Annotated[bool, typer.Option(help="show progress bars on a terminal")] = True,
    prune: Annotated[bool, typer.Option("--prune", help="delete rows of cells no longer in the suite")] = False,
    cache_dir: CacheDir = Path("~/.cache/vitmem"),
    trainer: Trainer = None,
    executor: Annotated[str, typer.Option(help="local, or ray: one Ray task per training")] = "local",
    address: Annotated[
        str | None, typer.Option(help="address of the Ray cluster, host:port; 'local' starts one here")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("-E", help="an option of each Ray task, such as num_gpus=0.25; may be repeated")
    ] = None,
) -> None:
    """Run all cells of a suite without a row, then write the tables.

    Example: vitmem run cifar10_noise10_small --data-dir ~/data --workers 2
    """
    from vitmem.bench import store as stores
    from vitmem.bench.experiment import Places
    from vitmem.bench.runner import rows_path, run_suite, stale_ids
    from vitmem.training.fit import pick_device

    if debug:
        log_to_stderr(logging.DEBUG)
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning").setLevel(logging.ERROR)
    load_plugins(plugin or ())
    plan = make_plan(load_suite(suite), suite, data_dir)
    if only:
        if prune:
            raise InputError("--prune compares the rows with the whole suite; leave out --only")
        plan = plan.only(only)
    name = plan.suite.name
    if data_dir is not None and not data_dir.is_dir():
        raise InputError(f"--data-dir: no such folder: {data_dir}")
    pick_device(device)
    options = trainer_options(trainer)
    elsewhere = _elsewhere(executor, address, option or ())
    path = rows_path(results, name)
    rows, ids = rows_of(path), {cell.id for cell in plan.cells}
    done = finished_ids(rows)
    stored = rows_in_store(plan, store, done)
    done |= finished_ids(stored)
    found, outdated = (len(ids & some) for some in (done, outdated_ids(rows) - done))
    have = f"{found} {'has' if found == 1 else 'have'} a row"
    again = f", {outdated} of them only to re-measure with the current metrics" if outdated else ""
    print(f"{name}: {counted(len(plan.cells), 'cell')}, {have}, {len(plan.cells) - found} to do{again}", flush=True)
    for remark in remarks(plan.cells):
        print(remark, flush=True)
    failed = 0
    stale = prune and bool(stale_ids(plan, rows))
    if found < len(plan.cells) or stale or stored:
        places = Places(stores.Store(store), data_dir, cache_dir, device, options)
        try:
            with (
                bars(progress) as on,
                Task("cells", len(plan.cells) - found, "cells") if on else nullcontext() as cells,
            ):

                def row_made(event: Event, counts: Progress) -> None:
                    _line(event, counts, store)
                    if cells:
                        cells.advance(left=counts.left())

                outcome = run_suite(
                    plan,
                    places,
                    results,
                    workers=workers,
                    execute=elsewhere,
                    plugins=plugin or (),
                    prune=prune,
                    on_event=row_made,
                )
        except KeyboardInterrupt:
            print("\nstopped; the same command continues from here", file=sys.stderr)
            sys.exit(INTERRUPTED)
        failed = outcome.failed
        print(f"{name}: {counted(outcome.made, 'row')} made, {failed} failed", flush=True)
        if outcome.elsewhere:
            others = counted(outcome.elsewhere, "cell")
            print(f"{others} left to other workers (see 'vitmem status'); the same command collects their rows")
    if rows_of(path):
        if check_tables(results, name):
            write_tables(results, name)
        print(_result(path, store))
    if failed:
        who = "its row has" if failed == 1 else "their rows have"
        raise VitmemError(
            f"{failed} of {counted(len(plan.cells), 'cell')} failed; {who} the reason and the path of the traceback "
            f"in {store} (--debug prints it); the same command tries again"
        )


def _elsewhere(executor: str, address: str | None, option: Sequence[str]) -> Execute | None:
    """Return the executor of a cluster, ``None`` for this machine."""
    if executor not in ("local", "ray"):
        raise unknown("executor", executor, ("local", "ray"))
    if executor == "local":
        if address is not None or option:
            raise InputError("--address and -E need a cluster: give --executor ray, or use 'vitmem submit' for SLURM")
        return None
    if address is None:
        raise InputError("--executor ray: expected --address, host:port of a cluster or 'local', got none")
    from vitmem.bench.executors.ray import RayCluster

    return RayCluster(address, key_values(option, "-E"))


def _result(rows: Path, store: Path) -> str:
    """Return the table of the chosen settings for a terminal, the verdicts, and the paths of the other tables."""
    name, tables = rows.parent.name, rows.parent / "tables"
    found = tables_of(Report(name, rows_of(rows)), "chosen", "verdict")
    said = [paragraph(sentence) for sentence in (found["verdict"].said if "verdict" in found else ())]
    more = [f"and {counted(len(said) - FEW, 'network')} more: vitmem tables --print verdict"] if len(said) > FEW else []
    chosen = terminal(found["chosen"]) if "chosen" in found else "no cell of an unedited model is finished"
    shown = "\n\n".join([chosen, *said[:FEW], *more])
    count = counted(len(list(tables.glob("*.md"))), "table")
    results = rows.parent.parent
    page = follow_up("report", name, results=results, store=store)
    where = f"{count} in {tables}; what their columns mean: {results / GLOSSARY}; a page with figures: {page}"
    return f"\n{shown}\n\n{where}"


def _line(event: Event, progress: Progress, store: Path) -> None:
    """Print the outcome of a cell, and with --debug the traceback from ``store``."""
    job, row = event
    left = progress.left()
    time_left = "" if left is None or progress.cells == progress.total else f", {duration(left)} left"
    print(f"[{progress.cells}/{progress.total}] {job}: {outcome_text(row)}{time_left}", flush=True)
    if "traceback" in row:
        log.debug((store / row["traceback"]).read_text())


def outcome_text(row: Row) -> str:
    """Return the outcome of a cell: its edit, and its metrics or the reason of its failure."""
    label = edit_label(dict(row["config"]["edit"]))
    if row["status"] != "ok":
        where = f" (traceback: {row['traceback']} in the store)" if "traceback" in row else ""
        return f"{label}: {row['status']}: {row['reason']}{where}"
    metrics = row["metrics"]
    shown = (f"{key} {100 * metrics[key]:.1f}" for key in ("memorized", "recovered", "validation") if key in metrics)
    return f"{label}: {', '.join(shown)}"
