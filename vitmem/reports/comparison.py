"""The table of methods against K-FAC, image by image, each at its chosen setting. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vitmem.reports.aggregate import Estimate, Group, Training
from vitmem.reports.budget import INFORMATION, information_of
from vitmem.reports.choose import choose
from vitmem.reports.content import Report, oracles
from vitmem.reports.naming import setting, title_of
from vitmem.reports.notes import INTERVAL, RULE
from vitmem.reports.paired import SIGNIFICANT, Comparison, compare, holm_of_known
from vitmem.reports.render import Cell, Column, Table, ends_text, p_text

OUTCOMES = ("memorized", "recovered", "validation")
COLUMNS = (
    Column("model", "model"),
    Column("outcome", "outcome"),
    Column("method", "method"),
    INFORMATION,
    Column("setting", "setting"),
    Column("seeds", "seeds", "count"),
    Column("difference", "method - K-FAC", "change"),
    Column("interval", "95 % interval"),
    Column("only_method", "only method", "count"),
    Column("only_kfac", "only K-FAC", "count"),
    Column("p", "p"),
    Column("holm", "Holm p"),
    Column("detectable", "detectable", "change"),
)
# What the one test is, by the number of seeds: a table says it of those that it has.
TESTS = {
    3: "tested by a paired t test over the seeds, whose 95 % interval is shown",
    2: "of two seeds both values are shown, nothing is tested",
    1: "of one seed McNemar's exact test over the items, with the interval that agrees with it: it speaks of this "
    "network alone",
}
NOTES = (
    "only method, only K-FAC: items, over all seeds, that have the outcome under one of the two alone",
    "the interval leaves out 0 exactly where p is at most 0.05; Holm p: corrected over the methods of one outcome",
    "detectable: the smallest difference that a t test over as many seeds finds with a power of 0.8 at 5 %",
)


@dataclass(frozen=True)
class Tested:
    """A comparison with K-FAC, and its p corrected over the methods of one outcome, ``None`` without a test."""

    comparison: Comparison
    corrected: float | None

    @property
    def mark(self) -> str:
        """``*`` where the interval leaves out 0, ``**`` where the difference stands after the correction too."""
        found = (self.comparison.p, self.corrected)
        return "*" * sum(p is not None and p <= SIGNIFICANT for p in found)


def comparison(report: Report) -> Table:
    """Return a row for each method and outcome against K-FAC at its chosen setting, base and oracles too."""
    rows = [row for training in report.trainings for row in _rows(report, training)]
    notes = (*report.notes, INTERVAL, RULE, tests_note(report), *NOTES, *report.told)
    return Table(report.about, COLUMNS, tuple(rows), notes, report.footer)


def tests_note(report: Report) -> str:
    """Return how differences from K-FAC are tested, for the numbers of seeds that ``report`` has."""
    found = [one for t in report.trainings for tested in compared(report, t)[1].values() for one in tested.values()]
    seeds = {min(one.comparison.difference.n, max(TESTS)) for one in found}
    told = [text for n, text in TESTS.items() if n in seeds]
    return "; ".join(["method - K-FAC: points, paired on the same items and seeds", *told])


def compared(report: Report, training: Training) -> tuple[dict[str, Group], dict[str, dict[str, Tested]]]:
    """Return what stands against K-FAC by its name, base and oracles first, and by outcome and name how it differs.

    Methods stand at their chosen setting, those without one are left out. Both are empty where K-FAC has none.
    """
    if id(training) not in report.compared:
        report.compared[id(training)] = training, _compared(report, training)
    found: tuple[dict[str, Group], dict[str, dict[str, Tested]]] = report.compared[id(training)][1]
    return found


def _compared(report: Report, training: Training) -> tuple[dict[str, Group], dict[str, dict[str, Tested]]]:
    if training.base is None:
        return {}, {}
    choices = {report.names.method(g[0]): choose(g, training.base).group for g in report.methods(training)}
    kfac = choices.pop(title_of("kfac"), None)
    if kfac is None:
        return {}, {}
    plain = {report.names.method(g): g for g in (training.base, *oracles(training))}
    others: dict[str, Group] = {**plain, **{name: g for name, g in choices.items() if g is not None}}
    tested = {}
    for outcome in OUTCOMES:
        found = {name: c for name, group in others.items() if (c := compare(group, kfac, outcome)) is not None}
        corrected = holm_of_known([c.p for c in found.values()])
        tested[outcome] = {name: Tested(c, p) for (name, c), p in zip(found.items(), corrected, strict=True)}
    return others, tested


def _rows(report: Report, training: Training) -> Iterator[tuple[Cell, ...]]:
    others, tested = compared(report, training)
    for outcome, found in tested.items():
        for name, one in found.items():
            group = others[name]
            method = (name, information_of(group), setting(group) or None)
            head = (report.names.training(training), outcome, *method, one.comparison.difference.n)
            yield (*head, *_cells(one.comparison, one.corrected))


def _cells(one: Comparison, corrected: float | None) -> tuple[Cell, ...]:
    detectable = None if one.detectable is None else Estimate(one.detectable, None, one.difference.n)
    shown = None if one.ends is None else ends_text(*one.ends)
    return one.difference, shown, one.only, one.only_other, p_text(one.p), p_text(corrected), detectable
