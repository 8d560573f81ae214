"""Methods that may change the weights by as much, or read the data as often: norm and price as confounds. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vitmem.reports.aggregate import Group, Training, at, difference, seconds
from vitmem.reports.budget import INFORMATION, information_of, passes
from vitmem.reports.choose import ROUNDING, choose
from vitmem.reports.content import Report
from vitmem.reports.naming import setting, title_of
from vitmem.reports.notes import INTERVAL, RULE
from vitmem.reports.render import Cell, Column, Table
from vitmem.rows import Row

SHOWN, AGAINST = ("memorized", "recovered", "validation"), ("memorized", "validation")
CHANGE_OF_WEIGHTS = at("edit", "relative_change")
COLUMNS = (
    Column("method", "method"),
    INFORMATION,
    Column("setting", "setting"),
    Column("seeds", "seeds", "count"),
    Column("relative_change", "‖ΔW‖/‖W‖", "number"),
    *(Column(name, name, "percent") for name in SHOWN),
    *(Column(f"{name}_minus_kfac", f"{name} - K-FAC", "change") for name in AGAINST),
    Column("passes", "passes", "passes"),
    Column("seconds", "seconds", "seconds"),
)
AMONG = (
    "the rule of choice is that of the other tables, among these settings; differences are paired over the same seeds"
)


@dataclass(frozen=True)
class Limit:
    """What a setting may have at most, on average over the seeds: ``read`` from its rows, at each of ``levels``.

    ``missing`` is what a row counts that records nothing, ``None`` where such a setting takes no part.
    """

    key: str
    header: str
    read: Callable[[Row], float | None]
    levels: tuple[float, ...]
    note: str
    missing: float | None = None

    def of(self, group: Group) -> float | None:
        """Return what ``group`` has of it."""
        found = group.estimate(self.read)
        return self.missing if found is None else found.mean


CHANGE = Limit(
    "allowed_change",
    "allowed ‖ΔW‖/‖W‖",
    CHANGE_OF_WEIGHTS,
    (0.25, 0.5, 0.75, 1.0),
    "allowed ‖ΔW‖/‖W‖: of all edited matrices together, mean over the seeds at most so much",
)
# Nothing but the weights, one look at the data, and what published methods that train take.
COST = Limit(
    "allowed_passes",
    "allowed passes",
    passes,
    (0.0, 1.0, 3.0, 10.0),
    "allowed passes: of one setting, its statistics included, at most so many; 0 reads no example",
    missing=0.0,
)


def change(report: Report) -> Table:
    """Return each method at its best setting among those that change the edited weights by at most each level."""
    return _table(report, CHANGE)


def cost(report: Report) -> Table:
    """Return each method at its best setting among those that take at most so many passes over the examples."""
    return _table(report, COST)


def _table(report: Report, limit: Limit) -> Table:
    columns = (Column("model", "model"), Column(limit.key, limit.header), *COLUMNS)
    rows: list[tuple[Cell, ...]] = []
    for training in report.trainings:
        for level in limit.levels:
            head = (report.names.training(training), f"{level:g}")
            rows += [(*head, *row) for row in _rows(report, training, limit, level)]
    notes = (*report.notes, INTERVAL, RULE, f"{limit.note}; {AMONG}", *report.told)
    return Table(report.about, columns, tuple(rows), notes, report.footer)


def _rows(report: Report, training: Training, limit: Limit, level: float) -> Iterator[tuple[Cell, ...]]:
    if training.base is None:
        return
    chosen = []
    for groups in report.methods(training):
        found = [(group, limit.of(group)) for group in groups]
        near = [group for group, value in found if value is not None and value <= level + ROUNDING]
        if near:
            chosen.append((groups[0], choose(near, training.base)))
    kfac = next((choice.group for first, choice in chosen if report.names.method(first) == title_of("kfac")), None)
    for first, choice in chosen:
        group = choice.group
        head = (report.names.method(first), information_of(first))
        if group is None:
            yield (*head, choice.why, *([None] * (len(COLUMNS) - len(head) - 1)))
            continue
        other = kfac if group is not kfac else None
        against = [None if other is None else difference(group, other, at("metrics", name)) for name in AGAINST]
        measured = [group.estimate(at("metrics", name)) for name in SHOWN]
        costs = [group.estimate(read) for read in (passes, seconds)]
        yield (*head, setting(group), len(group.rows), group.estimate(CHANGE_OF_WEIGHTS), *measured, *against, *costs)
