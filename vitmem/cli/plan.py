"""``vitmem plan``: the cells of a suite and their estimated cost. Loads no torch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from vitmem.bench.cells import Cell
from vitmem.bench.costs import Costs, costs
from vitmem.bench.current import finished_ids, outdated_ids, rows_of
from vitmem.bench.journal import rows_in_store
from vitmem.bench.plan import Job, Plan, make_plan
from vitmem.bench.plugins import load_plugins
from vitmem.bench.suite import load_suite
from vitmem.bench.suite_checks import remarks
from vitmem.cli.options import CacheDir, Device, Json, Plugin, Results, Store, SuiteFile, suite_word
from vitmem.progress import duration
from vitmem.reports.naming import edit_label
from vitmem.reports.render import counted, size_text

# Largest number of cells with a line each by default.
FEW = 60


def plan(
    suite: SuiteFile,
    cells: Annotated[bool, typer.Option("--cells", help="print a line for each cell of a large suite too")] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="measure a few steps of each network here, instead of reading rows")
    ] = False,
    data_dir: Annotated[
        Path | None, typer.Option(help="the folder of files in the suite; ids depend on their content")
    ] = None,
    plugin: Plugin = None,
    results: Results = Path("results"),
    store: Store = Path("store"),
    as_json: Json = False,
    steps: Annotated[int, typer.Option(min=1, help="training steps to measure")] = 3,
    device: Device = "auto",
    cache_dir: CacheDir = Path("~/.cache/vitmem"),
) -> None:
    """Show the cells of a suite, finished and missing, with the ids for 'show' and 'run --only'.

    Estimates of time, memory and disk use come from rows and stored folders of the same data and network, with
    --measure from a few steps on this machine.

    Example: vitmem plan demo --cells

    Example: vitmem plan mysuite.yaml --measure --data-dir ~/data
    """
    load_plugins(plugin or ())
    made = make_plan(load_suite(suite), suite, data_dir)
    path = results / made.suite.name / "rows.jsonl"
    rows = rows_of(path)
    done = finished_ids(rows)
    done |= finished_ids(rows_in_store(made, store, done))
    outdated = outdated_ids(rows) - done
    summary: dict[str, Any] = {
        "suite": made.suite.name,
        "cells": len(made.cells),
        "trainings": len({c.training.id for c in made.cells}),
        "statistics": len({c.statistics_id for c in made.cells} - {None}),
        "done": sum(c.id in done for c in made.cells),
        "outdated": sum(c.id in outdated for c in made.cells),
        "stale": len({row["id"] for row in rows} - {c.id for c in made.cells}),
    }
    measured = None
    if measure:
        from vitmem.bench.measured import measure as measured_here

        measured = measured_here(made, done, data_dir, cache_dir, device, steps)
    left = costs(made, done, results, store, measured)
    if as_json:
        print(json.dumps({**summary, "left": asdict(left), "ids": [c.id for c in made.cells]}))
        return
    taken = _costs(left, "measured steps" if measure else "rows")
    for line in (*_summary(made, summary, path), *taken, *_lines(made, done, cells)):
        print(line)
    rest = "makes what is missing" if summary["done"] < len(made.cells) else "prints its table"
    print(f"vitmem run {suite_word(suite)} {rest}")


def _summary(made: Plan, summary: dict[str, Any], rows: Path) -> Iterator[str]:
    cells, trainings = counted(summary["cells"], "cell"), counted(summary["trainings"], "training")
    again = f", {n} of the others only to re-measure with the current metrics" if (n := summary["outdated"]) else ""
    yield f"{made.suite.name}: {cells}, {trainings}, {summary['statistics']} statistics; {summary['done']} done{again}"
    if stale := summary["stale"]:
        belong = f"{counted(stale, 'row')} in {rows} {'belongs' if stale == 1 else 'belong'} to no cell of this suite"
        yield f"{belong}; 'vitmem run --prune' deletes such rows"
    yield from remarks(made.cells)


def _costs(left: Costs, source: str) -> Iterator[str]:
    """Yield the estimated cost of the missing cells, by ``source``, and the number of those without an estimate."""
    if not left.edits:
        return
    unknown = [
        counted(count, noun) for count, noun in ((left.unknown, "training"), (left.unknown_edits, "edit")) if count
    ]
    if not left.machine:
        time = "unknown, no row is of this data and network"
    else:
        time = f"{duration(left.seconds)} with one worker, by {source} of {left.machine}"
        time += f"; {' and '.join(unknown)} not counted, of no row's kind" if unknown else ""
    yield f"time: {time}"
    yield f"memory: {'unknown' if left.peak is None else f'{size_text(left.peak)} at most, by the same {source}'}"
    stored = "unknown, the store has none of the kind"
    yield f"disk: {stored if left.stored is None else f'{size_text(left.stored)} in the store'}"


def _lines(made: Plan, done: set[str], cells: bool) -> Iterator[str]:
    """Yield a line for each training and, for few cells or with ``cells``, for each cell."""
    short = _unique([cell.id for cell in made.cells])
    listed = cells or len(made.cells) <= FEW
    for job in made.jobs():
        yield _training(job, done)
        for cell in job.cells if listed else ():
            yield f"    {cell.id[:short]}  {_label(cell)}{', done' if cell.id in done else ''}"
    if not listed:
        yield "'vitmem plan --cells' adds the id of each cell, for 'vitmem show' and 'vitmem run --only'"


def _training(job: Job, done: set[str]) -> str:
    methods = Counter(cell.method for cell in job.cells)
    finished = sum(cell.id in done for cell in job.cells)
    counts = ", ".join(f"{n} {method}" for method, n in methods.items())
    return f"  {job.training.id}  {job.label}: {counted(len(job.cells), 'cell')} ({counts}), {finished} done"


def _label(cell: Cell) -> str:
    return cell.training.oracle or edit_label(cell.edit.config)


def _unique(ids: Sequence[str]) -> int:
    """Return the shortest length, at least eight, of unique prefixes of ``ids``."""
    return next((n for n in range(8, 16) if len({id[:n] for id in ids}) == len(ids)), 16)
