"""Every training of a suite against every method at its chosen setting. Does not import torch."""

from __future__ import annotations

from collections.abc import Iterator

from vitmem.entries import Table
from vitmem.registry import TABLES
from vitmem.reports.aggregate import at
from vitmem.reports.choose import choose
from vitmem.reports.columns import MEASURES, MODEL, RULE
from vitmem.reports.render import Cell, Column
from vitmem.reports.report import Report

# Minimum number of trainings; smaller suites are read from their other tables.
FEW = 3


@TABLES.register("across")
class Across(Table):
    """Trainings against methods: each measure at the chosen setting, one column per method."""

    title = "Trainings against methods"
    notes = (RULE, "empty: no setting of the method loses at most so many points there")

    def columns_of(self, report: Report) -> tuple[Column, ...]:
        """Return a column for the unedited model and each method."""
        methods = (Column(name, name, "percent") for name in _methods(report))
        return (Column("measure", "measure"), MODEL, Column("base", "base", "percent"), *methods)

    def rows(self, report: Report) -> Iterator[tuple[Cell, ...]]:
        """Yield a row for each measure and training."""
        if sum(bool(training.edits) for training, _ in report.judged) < FEW:
            return
        for measure in MEASURES:
            read = at("metrics", measure)
            for training, base in report.judged:
                if base.estimate(read) is not None:
                    chosen = {report.names.method(g[0]): choose(g, base).group for g in report.methods(training)}
                    choices = [chosen.get(name) for name in _methods(report)]
                    values = [None if group is None else group.estimate(read) for group in choices]
                    yield (measure, report.names.training(training), base.estimate(read), *values)


def _methods(report: Report) -> list[str]:
    """Return the names of all methods of the suite, in order."""
    first = [groups[0] for training in report.trainings for groups in report.methods(training)]
    return list(dict.fromkeys(report.names.method(group) for group in sorted(first, key=report.names.method_order)))
