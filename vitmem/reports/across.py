"""Every training of a suite against every method: what each leaves at its chosen setting. No torch."""

from __future__ import annotations

from vitmem.reports.aggregate import at
from vitmem.reports.choose import choose
from vitmem.reports.content import Report
from vitmem.reports.notes import INTERVAL, RULE
from vitmem.reports.render import Cell, Column, Table

MEASURES = ("memorized", "recovered", "validation")
# A suite of fewer trainings is read from its other tables.
FEW = 3
NONE = "empty: no setting of the method loses at most so many points there"


def has_across(report: Report) -> bool:
    """Say whether there are several trainings and methods to set against each other."""
    return len([t for t in report.trainings if t.base is not None and t.edits]) >= FEW


def across(report: Report) -> Table:
    """Return a row for each measure and training, a column for the unedited model and each method."""
    first = [groups[0] for training in report.trainings for groups in report.methods(training)]
    methods = list(dict.fromkeys(report.names.method(group) for group in sorted(first, key=report.names.method_order)))
    columns = (
        Column("measure", "measure"),
        Column("model", "model"),
        Column("base", "base", "percent"),
        *(Column(name, name, "percent") for name in methods),
    )
    rows: list[tuple[Cell, ...]] = []
    for measure in MEASURES:
        read = at("metrics", measure)
        for training in report.trainings:
            if training.base is None or training.base.estimate(read) is None:
                continue
            chosen = {report.names.method(g[0]): choose(g, training.base).group for g in report.methods(training)}
            found = [chosen.get(name) for name in methods]
            values = [None if group is None else group.estimate(read) for group in found]
            rows.append((measure, report.names.training(training), training.base.estimate(read), *values))
    return Table(report.about, columns, tuple(rows), (*report.notes, INTERVAL, RULE, NONE), report.footer)
