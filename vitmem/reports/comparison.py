"""The table of methods against K-FAC, image by image, each at its chosen setting. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vitmem.reports.aggregate import Estimate, Group, Training
from vitmem.reports.budget import INPUT_CLASS, input_class
from vitmem.reports.choose import choose
from vitmem.reports.content import Report, oracles
from vitmem.reports.naming import METHODS, setting
from vitmem.reports.notes import INTERVAL, RULE
from vitmem.reports.paired import Comparison, compare, holm
from vitmem.reports.render import Cell, Column, Table, fixed

OUTCOMES = ("memorized", "recovered", "validation")
COLUMNS = (
    Column("model", "model"),
    Column("outcome", "outcome"),
    Column("method", "method"),
    INPUT_CLASS,
    Column("setting", "setting"),
    Column("seeds", "seeds", "count"),
    Column("difference", "method - K-FAC", "change"),
    Column("bootstrap", "95 % bootstrap"),
    Column("only_method", "only method", "count"),
    Column("only_kfac", "only K-FAC", "count"),
    Column("mcnemar", "McNemar p"),
    Column("holm", "Holm p"),
    Column("detectable", "detectable", "change"),
)
NOTES = (
    "method - K-FAC: points, paired on the same items and seeds; bootstrap: seeds are drawn, then items within each",
    "only method, only K-FAC: items, over all seeds, that have the outcome under one of the two alone; McNemar's "
    "exact test is on these counts and speaks of these networks, Holm's correction is over the methods of one outcome",
    "detectable: the smallest difference that a t test over as many seeds finds with a power of 0.8 at 5 %",
)


@dataclass(frozen=True)
class Tested:
    """A comparison with K-FAC, and its McNemar p corrected over the methods of one outcome."""

    comparison: Comparison
    corrected: float


def comparison(report: Report) -> Table:
    """Return a row for each method and outcome against K-FAC at its chosen setting, base and oracles too."""
    rows = [row for training in report.trainings for row in _rows(report, training)]
    return Table(
        report.about, COLUMNS, tuple(rows), (*report.notes, INTERVAL, RULE, *NOTES, *report.told), report.footer
    )


def compared(report: Report, training: Training) -> tuple[dict[str, Group], dict[str, dict[str, Tested]]]:
    """Return what stands against K-FAC by its name, base and oracles first, and by outcome and name how it differs.

    Methods stand at their chosen setting, those without one are left out. Both are empty where K-FAC has none.
    """
    if training.base is None:
        return {}, {}
    choices = {report.names.method(g[0]): choose(g, training.base).group for g in report.methods(training)}
    kfac = choices.pop(METHODS["kfac"], None)
    if kfac is None:
        return {}, {}
    plain = {report.names.method(g): g for g in (training.base, *oracles(training))}
    others: dict[str, Group] = {**plain, **{name: g for name, g in choices.items() if g is not None}}
    tested = {}
    for outcome in OUTCOMES:
        found = {name: c for name, group in others.items() if (c := compare(group, kfac, outcome)) is not None}
        corrected = holm([c.p for c in found.values()])
        tested[outcome] = {name: Tested(c, p) for (name, c), p in zip(found.items(), corrected, strict=True)}
    return others, tested


def _rows(report: Report, training: Training) -> Iterator[tuple[Cell, ...]]:
    others, tested = compared(report, training)
    for outcome, found in tested.items():
        for name, one in found.items():
            group = others[name]
            method = (name, input_class(group), setting(group) or None)
            head = (report.names.training(training), outcome, *method, one.comparison.difference.n)
            yield (*head, *_cells(one.comparison, one.corrected))


def ends(one: Comparison) -> str:
    """Return the ends of the bootstrap interval, in points."""
    return f"{fixed(100 * one.low, 1, sign=True)} to {fixed(100 * one.high, 1, sign=True)}"


def _cells(one: Comparison, corrected: float) -> tuple[Cell, ...]:
    detectable = None if one.detectable is None else Estimate(one.detectable, None, one.difference.n)
    tests = (_p(one.p), _p(corrected))
    return one.difference, ends(one), one.only, one.only_other, *tests, detectable


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"
