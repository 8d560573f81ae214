"""What a suite consists of: its networks, seeds, cells, hours, devices and versions. Does not import torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from vitmem.entries import Table
from vitmem.registry import TABLES
from vitmem.reports.aggregate import canonical_text
from vitmem.reports.budget import hours, hours_text
from vitmem.reports.notes import provenance
from vitmem.reports.overview import SHARED, networks
from vitmem.reports.render import Cell, Column, counted
from vitmem.reports.report import Report


@TABLES.register("facts")
class Facts(Table):
    """Networks, seeds, cells, hours, devices and versions of the suite."""

    title = "The suite"
    columns = (Column("fact", "fact"), Column("value", "value"))
    notes = (f"{SHARED}; in brackets, the number of trainings, statistics and cells",)
    suite_notes = False

    def rows(self, report: Report) -> Iterator[tuple[Cell, ...]]:
        """Yield a row for each fact; none without a finished cell."""
        if not report.trainings:
            return
        edits = [g for training in report.trainings for g in report.cells(training) if g.method != "none"]
        methods = {report.names.method(group) for group in edits}
        statuses = Counter(row["status"] for row in report.rows)
        settings = {canonical_text([g.config["edit"], g.config.get("statistics")]) for g in edits}
        seeds = sorted({row["config"]["seed"] for row in report.rows})
        _, *machines = provenance(report.rows)
        yield "networks", networks(report.trainings)
        yield "edits", f"{counted(len(settings), 'setting')} of {counted(len(methods), 'method')}"
        yield "seeds", f"{len(seeds)} ({', '.join(map(str, seeds))})"
        yield "trainings", f"{len({row['ids'].get('training') for row in report.rows}):,}"
        yield "cells", f"{statuses['ok']:,} finished, {statuses['failed']:,} failed"
        if spent := hours(report.rows):
            yield "hours", hours_text(spent)
        yield from (("device and versions", machine) for machine in machines)
