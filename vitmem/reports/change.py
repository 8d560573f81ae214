"""The table of methods that may change the edited weights by as much, against the confound of the norm. No torch."""

from __future__ import annotations

from collections.abc import Iterator

from vitmem.reports.aggregate import Training, at, difference, seconds
from vitmem.reports.budget import INPUT_CLASS, input_class, passes
from vitmem.reports.choose import ROUNDING, choose
from vitmem.reports.content import Report
from vitmem.reports.naming import setting
from vitmem.reports.notes import INTERVAL, RULE
from vitmem.reports.render import Cell, Column, Table

LEVELS = (0.25, 0.5, 0.75, 1.0)
SHOWN, AGAINST = ("memorized", "recovered", "validation"), ("memorized", "validation")
CHANGE = at("edit", "relative_change")
COLUMNS = (
    Column("model", "model"),
    Column("allowed_change", "allowed ‖ΔW‖/‖W‖"),
    Column("method", "method"),
    INPUT_CLASS,
    Column("setting", "setting"),
    Column("seeds", "seeds", "count"),
    Column("relative_change", "‖ΔW‖/‖W‖", "number"),
    *(Column(name, name, "percent") for name in SHOWN),
    *(Column(f"{name}_minus_kfac", f"{name} - K-FAC", "change") for name in AGAINST),
    Column("passes", "passes", "passes"),
    Column("seconds", "seconds", "seconds"),
)
NOTE = (
    "allowed ‖ΔW‖/‖W‖: of all edited matrices together, mean over the seeds at most so much; the rule of choice is "
    "that of the other tables, among these settings; differences are paired over the same seeds"
)


def change(report: Report) -> Table:
    """Return each method at its best setting among those that change the edited weights by at most each level."""
    places = [(training, level) for training in report.trainings for level in LEVELS]
    rows = [row for training, level in places for row in _rows(report, training, level)]
    return Table(report.about, COLUMNS, tuple(rows), (*report.notes, INTERVAL, RULE, NOTE, *report.told), report.footer)


def _rows(report: Report, training: Training, level: float) -> Iterator[tuple[Cell, ...]]:
    if training.base is None:
        return
    chosen = []
    for groups in report.methods(training):
        changes = [(group, group.estimate(CHANGE)) for group in groups]
        near = [group for group, found in changes if found is not None and found.mean <= level + ROUNDING]
        if near:
            chosen.append((groups[0], choose(near, training.base)))
    kfac = next((choice.group for first, choice in chosen if first.method == "kfac"), None)
    for first, choice in chosen:
        group = choice.group
        head = (report.names.training(training), f"{level:g}", report.names.method(first), input_class(first))
        if group is None:
            yield (*head, choice.why, *([None] * (len(COLUMNS) - 5)))
            continue
        other = kfac if group is not kfac else None
        against = [None if other is None else difference(group, other, at("metrics", name)) for name in AGAINST]
        measured = [group.estimate(at("metrics", name)) for name in SHOWN]
        costs = [group.estimate(read) for read in (passes, seconds)]
        yield (*head, setting(group), len(group.rows), group.estimate(CHANGE), *measured, *against, *costs)
