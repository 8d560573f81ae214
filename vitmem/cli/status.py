"""``vitmem status``: the progress of a suite on all machines, from store and rows alone. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from vitmem.bench.claims import Claims, Holder, job_key
from vitmem.bench.costs import costs
from vitmem.bench.current import finished_ids, rows_of
from vitmem.bench.journal import rows_in_store
from vitmem.bench.plan import Job, Plan, make_plan
from vitmem.bench.plugins import load_plugins
from vitmem.bench.store import CLAIMS
from vitmem.bench.suite import load_suite
from vitmem.cli.options import Plugin, Results, Store, SuiteFile, suite_word
from vitmem.cli.run import outcome_text
from vitmem.progress import duration
from vitmem.reports.render import counted
from vitmem.rows import Row

# Largest number of printed failures, and lines of the traceback of each.
FEW, LINES = 5, 3


def status(
    suite: SuiteFile,
    store: Store = Path("store"),
    results: Results = Path("results"),
    data_dir: Annotated[
        Path | None, typer.Option(help="the folder of files in the suite; ids depend on their content")
    ] = None,
    plugin: Plugin = None,
) -> None:
    """Show the progress of a suite: finished, running, failed and missing cells, and the time left.

    Example: vitmem status cifar10_noise10_small --store /shared/store
    """
    load_plugins(plugin or ())
    plan = make_plan(load_suite(suite), suite, data_dir)
    rows = rows_of(results / plan.suite.name / "rows.jsonl")
    done = finished_ids(rows)
    stored = rows_in_store(plan, store, done)
    done |= finished_ids(stored)
    ids = {cell.id for cell in plan.cells}
    failed = {row["id"]: row for row in [*rows, *stored] if row["status"] == "failed" and row["id"] in ids - done}
    claims, jobs = Claims(store / CLAIMS), plan.jobs(done)
    holders = [claims.holder(job_key(plan.suite.name, job.training.id)) for job in jobs]
    running = [(job, holder) for job, holder in zip(jobs, holders, strict=True) if holder is not None]
    left = costs(plan, done, results, store)
    time = f", {duration(left.seconds / max(len(running), 1))} left" if left.edits and left.machine else ""
    print(
        f"{plan.suite.name}: {counted(len(ids), 'cell')}; {len(ids & done)} done, {len(failed)} failed, "
        f"{len(ids - done - failed.keys())} to do{time}"
    )
    for line in (*_running(running, plan, done), *_failed(list(failed.values()), store)):
        print(line)
    word = suite_word(suite)
    if ids - done:
        print(f"vitmem work {word} takes a part of it; vitmem run {word} makes all that is left and writes the tables")
    else:
        print(f"vitmem run {word} collects the rows and writes the tables")


def _running(running: Sequence[tuple[Job, Holder]], plan: Plan, done: set[str]) -> Iterator[str]:
    cells = {job.training.id: job.cells for job in plan.jobs()}
    yield f"running: {counted(len(running), 'training')}"
    for job, holder in running:
        mine = cells[job.training.id]
        yield f"  {job.label}: {sum(cell.id in done for cell in mine)} of {len(mine)} cells; {holder}"


def _failed(rows: Sequence[Row], store: Path) -> Iterator[str]:
    for row in rows[:FEW]:
        yield f"failed: {row['id']} {outcome_text(row)}"
        traceback = store / row["traceback"] if "traceback" in row else None
        if traceback is not None and traceback.is_file():
            yield from (f"  {line}" for line in traceback.read_text().splitlines()[-LINES:])
    if len(rows) > FEW:
        yield f"and {len(rows) - FEW} more failed"
