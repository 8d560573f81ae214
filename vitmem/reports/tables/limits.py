"""Methods at equal change of the weights, or equal passes over the data: norm and cost as confounds. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vitmem.registry import TABLES
from vitmem.reports.aggregate import Group, Training, at, difference, seconds
from vitmem.reports.budget import INFORMATION, information_of, passes
from vitmem.reports.choose import ROUNDING, choose
from vitmem.reports.columns import (
    CHANGE_OF_WEIGHTS,
    EDIT_COLUMNS,
    METHOD,
    MODEL,
    RULE,
    SEEDS,
    SETTING,
    measured,
    percent,
)
from vitmem.reports.naming import setting, title_of
from vitmem.reports.render import Cell, Column
from vitmem.reports.report import Report
from vitmem.rows import Row

AGAINST = ("memorized", "validation")
COLUMNS = (
    METHOD,
    INFORMATION,
    SETTING,
    SEEDS,
    *percent(),
    *(Column(f"{name}_minus_kfac", f"{name} - K-FAC", "change") for name in AGAINST),
    *EDIT_COLUMNS[2:],
)
AMONG = "choice by the rule of the other tables, among these settings; differences are paired over the same seeds"


@dataclass(frozen=True)
class Limit:
    """An upper bound on a setting's mean over the seeds of ``read``, at each of ``levels``.

    ``missing`` is the value of a row without a record, ``None`` to exclude such a setting.
    """

    column: Column
    read: Callable[[Row], float | None]
    levels: tuple[float, ...]
    missing: float | None = None

    def of(self, group: Group) -> float | None:
        """Return the limited quantity of ``group``."""
        value = group.estimate(self.read)
        return self.missing if value is None else value.mean


CHANGE = Limit(
    Column(
        "allowed_change",
        "allowed ‖ΔW‖/‖W‖",
        about="upper bound over all edited matrices together, mean over the seeds",
    ),
    CHANGE_OF_WEIGHTS,
    (0.25, 0.5, 0.75, 1.0),
)
# Weights only, one pass over the data, and the cost of published methods that train.
COST = Limit(
    Column(
        "allowed_passes",
        "allowed passes",
        about="upper bound for one setting with its statistics; 0 reads no example",
    ),
    passes,
    (0.0, 1.0, 3.0, 10.0),
    missing=0.0,
)


def _is_recorded(report: Report, limit: Limit) -> bool:
    """Return whether any competing edit has recorded the limited quantity."""
    return any(g.estimate(limit.read) is not None for training in report.trainings for g in training.edits)


@TABLES.register(
    "change", title="At the same change of the weights", columns=(MODEL, CHANGE.column, *COLUMNS), notes=(RULE, AMONG)
)
def change(report: Report) -> Iterator[tuple[Cell, ...]]:
    """Each method at its best setting among those that change the edited weights by at most each level."""
    return _limited(report, CHANGE)


@TABLES.register(
    "cost", title="At the same passes over the examples", columns=(MODEL, COST.column, *COLUMNS), notes=(RULE, AMONG)
)
def cost(report: Report) -> Iterator[tuple[Cell, ...]]:
    """Each method at its best setting among those with at most each number of passes over the examples."""
    return _limited(report, COST)


def _limited(report: Report, limit: Limit) -> Iterator[tuple[Cell, ...]]:
    for training, base in report.judged if _is_recorded(report, limit) else ():
        for level in limit.levels:
            for row in _rows(report, training, base, limit, level):
                yield report.names.training(training), f"{level:g}", *row


def _rows(report: Report, training: Training, base: Group, limit: Limit, level: float) -> Iterator[tuple[Cell, ...]]:
    chosen = []
    for groups in report.methods(training):
        limited = [(group, limit.of(group)) for group in groups]
        near = [group for group, value in limited if value is not None and value <= level + ROUNDING]
        if near:
            chosen.append((groups[0], choose(near, base)))
    kfac = next((choice.group for first, choice in chosen if report.names.method(first) == title_of("kfac")), None)
    for first, choice in chosen:
        group = choice.group
        head = (report.names.method(first), information_of(first))
        if group is None:
            yield (*head, choice.why, *([None] * (len(COLUMNS) - len(head) - 1)))
            continue
        other = kfac if group is not kfac else None
        against = [None if other is None else difference(group, other, at("metrics", name)) for name in AGAINST]
        costs = [group.estimate(read) for read in (CHANGE_OF_WEIGHTS, passes, seconds)]
        yield (*head, setting(group), *measured(group), *against, *costs)
