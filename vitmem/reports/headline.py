"""A whole suite in one look: each method by what it is told, with its paired distance to K-FAC. No torch."""

from __future__ import annotations

from collections.abc import Iterator

from vitmem.reports.aggregate import Group, Training, at
from vitmem.reports.budget import INPUT_CLASS, TUNING_COLUMNS, input_class, tuning
from vitmem.reports.choose import choose
from vitmem.reports.comparison import OUTCOMES, compared, ends
from vitmem.reports.content import Report, oracles
from vitmem.reports.naming import setting
from vitmem.reports.notes import INTERVAL, RULE
from vitmem.reports.render import Cell, Column, Table, fixed

# From what costs a user nothing to what only a benchmark knows.
CLASSES = ("D0", "U", "N", "P", "T", "R+F")
SIGNIFICANT = 0.05
COLUMNS = (
    Column("model", "model"),
    Column("method", "method"),
    INPUT_CLASS,
    Column("setting", "setting"),
    Column("seeds", "seeds", "count"),
    *(Column(name, name, "percent") for name in OUTCOMES),
    *(Column(f"{name}_minus_kfac", f"{name} - K-FAC") for name in OUTCOMES),
    *TUNING_COLUMNS,
)
SETTING = "setting: what differs among the settings of the method"
NOTE = (
    "method - K-FAC: points with the ends of the 95 % bootstrap interval, paired on the same items and seeds (seeds "
    "are drawn, then items within each); * where McNemar's exact test has p < 0.05 after Holm's correction over the "
    "methods of one outcome; more in comparison.md"
)


def headline(report: Report) -> Table:
    """Return a row for the base, each oracle and each method at its chosen setting, in the order of input classes."""
    rows = [row for training in report.trainings for row in _rows(report, training)]
    notes = (*report.notes, INTERVAL, RULE, SETTING, NOTE, *report.told, *report.tuning)
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
        shown = [
            None
            if one is None
            else f"{fixed(100 * one.comparison.difference.mean, 1, sign=True)} ({ends(one.comparison)})"
            + ("*" if one.corrected < SIGNIFICANT else "")
            for one in against
        ]
        return len(group.rows), *found, *shown

    for group in (training.base, *oracles(training)):
        yield name, report.names.method(group), None, None, *measured(group), None, None
    for groups in by_told(report, training):
        choice, head = choose(groups, training.base), (name, report.names.method(groups[0]), input_class(groups[0]))
        if choice.group is None:
            yield *head, choice.why, None, *([None] * 2 * len(OUTCOMES)), *tuning(groups)
        else:
            yield *head, setting(choice.group, groups), *measured(choice.group), *tuning(groups)


def by_told(report: Report, training: Training) -> list[list[Group]]:
    """Return the settings of each method of ``training``, methods in the order of their input classes."""

    def place(groups: list[Group]) -> int:
        told = input_class(groups[0])
        return CLASSES.index(told) if told in CLASSES else len(CLASSES)

    return sorted(report.methods(training), key=place)
