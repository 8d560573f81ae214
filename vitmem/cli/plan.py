"""``vitmem plan``: what a suite would run. Loads no torch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vitmem.bench.current import finished_ids, rows_of
from vitmem.bench.plan import Plan, make_plan
from vitmem.bench.plugins import load_plugins
from vitmem.bench.suite import load_suite
from vitmem.reports.render import counted


def plan(
    suite: Path, results: Path, plugins: Sequence[str], as_json: bool, data_dir: Path | None = None
) -> None:
    """Print the counts of cells, trainings and statistics, and a line for each training."""
    load_plugins(plugins)
    made = make_plan(load_suite(suite), suite, data_dir)
    path = results / made.suite.name / "rows.jsonl"
    rows = rows_of(path)
    done = finished_ids(rows)
    summary: dict[str, Any] = {
        "suite": made.suite.name,
        "cells": len(made.cells),
        "trainings": len({c.training for c in made.cells}),
        "statistics": len({c.statistics for c in made.cells} - {None}),
        "done": sum(c.id in done for c in made.cells),
        "stale": len({row["id"] for row in rows} - {c.id for c in made.cells}),
    }
    if as_json:
        print(json.dumps({**summary, "ids": [c.id for c in made.cells]}))
        return
    cells, trainings = counted(summary["cells"], "cell"), counted(summary["trainings"], "training")
    print(f"{made.suite.name}: {cells}, {trainings}, {summary['statistics']} statistics; {summary['done']} done")
    if stale := summary["stale"]:
        belong = f"{counted(stale, 'row')} in {path} {'belongs' if stale == 1 else 'belong'} to no cell of this suite"
        print(f"{belong}; 'vitmem run --prune' drops what is left over")
    for line in _trainings(made, done):
        print(line)


def _trainings(made: Plan, done: set[str]) -> list[str]:
    lines = []
    for job in made.jobs():
        methods = Counter(cell.config["edit"]["method"] for cell in job.cells)
        finished = sum(cell.id in done for cell in job.cells)
        counts = ", ".join(f"{n} {method}" for method, n in methods.items())
        lines.append(f"  {job.training}  {job.label}: {counted(len(job.cells), 'cell')} ({counts}), {finished} done")
    return lines
