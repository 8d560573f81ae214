"""A whole suite in one look: each method by what it is given, with its paired distance to K-FAC. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from vitmem.entries import Information
from vitmem.reports.aggregate import Group, Training, at
from vitmem.reports.budget import INFORMATION, TUNING_COLUMNS, information_of, tuning
from vitmem.reports.choose import choose
from vitmem.reports.comparison import OUTCOMES, Tested, compared, tests_note
from vitmem.reports.content import Report, oracles
from vitmem.reports.naming import setting
from vitmem.reports.notes import INTERVAL, RULE
from vitmem.reports.render import Cell, Column, Table, cell_text, ends_text, fixed

# From what costs a user nothing to what only a benchmark knows.
INFORMATION_ORDER = get_args(Information)
COLUMNS = (
    Column("model", "model"),
    Column("method", "method"),
    INFORMATION,
    Column("setting", "setting"),
    Column("seeds", "seeds", "count"),
    *(Column(name, name, "percent") for name in OUTCOMES),
    *(Column(f"{name}_minus_kfac", f"{name} - K-FAC") for name in OUTCOMES),
    *TUNING_COLUMNS,
)
SETTING = "setting: what differs among the settings of the method"
MARKS = (
    "method - K-FAC: the difference and the ends of its 95 % interval; * where the interval leaves out 0, ** where the "
    "same test stands after Holm's correction over the methods of one outcome too; more in comparison.md"
)


def headline(report: Report) -> Table:
    """Return a row for the base, each oracle and each method at its chosen setting, by what they are given."""
    rows = [row for training in report.trainings for row in _rows(report, training)]
    notes = (*report.notes, INTERVAL, RULE, SETTING, tests_note(report), MARKS, *report.told, *report.tuning)
    return Table(report.about, COLUMNS, tuple(rows), notes, report.footer)


def _rows(report: Report, training: Training) -> Iterator[tuple[Cell, ...]]:
    if training.base is None:
        return
    _, tested = compared(report, training)
    name = report.names.training(training)

    def measured(group: Group) -> tuple[Cell, ...]:
        told = report.names.method(group)
        found = [group.estimate(at("metrics", outcome)) for outcome in OUTCOMES]
        against = [tested[o].get(told) if o in tested else None for o in OUTCOMES]
        return len(group.rows), *found, *(None if one is None else _shown(one) for one in against)

    for group in (training.base, *oracles(training)):
        yield name, report.names.method(group), None, None, *measured(group), None, None
    for groups in by_information(report, training):
        choice, head = choose(groups, training.base), (name, report.names.method(groups[0]), information_of(groups[0]))
        if choice.group is None:
            yield *head, choice.why, None, *([None] * 2 * len(OUTCOMES)), *tuning(groups)
        else:
            yield *head, setting(choice.group, groups), *measured(choice.group), *tuning(groups)


def _shown(one: Tested) -> str:
    difference, ends = one.comparison.difference, one.comparison.ends
    if ends is None:
        return cell_text(difference, "change")
    return f"{fixed(100 * difference.mean, 1, sign=True)} ({ends_text(*ends)}){one.mark}"


def by_information(report: Report, training: Training) -> list[list[Group]]:
    """Return the settings of each method of ``training``, methods in the order of what they are given."""

    def place(groups: list[Group]) -> int:
        given = information_of(groups[0])
        return INFORMATION_ORDER.index(given) if given in INFORMATION_ORDER else len(INFORMATION_ORDER)

    return sorted(report.methods(training), key=place)
