"""The table of methods against K-FAC, image by image, each at its chosen setting. Does not import torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vitmem.registry import TABLES
from vitmem.reports.aggregate import Estimate, Group, Training
from vitmem.reports.budget import INFORMATION, information_of
from vitmem.reports.choose import choose
from vitmem.reports.columns import MEASURES, METHOD, MODEL, RULE, SEEDS, SETTING
from vitmem.reports.naming import setting, title_of
from vitmem.reports.paired import SIGNIFICANT, Comparison, compare, holm_of_known
from vitmem.reports.render import Cell, Column, ends_text, p_text
from vitmem.reports.report import Report, oracles

ONE_ALONE = "items, over all seeds, with the outcome under only this one of the two"
COLUMNS = (
    MODEL,
    Column("outcome", "outcome"),
    METHOD,
    INFORMATION,
    SETTING,
    SEEDS,
    Column("difference", "method - K-FAC", "change", "points, paired on the same items and seeds"),
    Column("interval", "95 % interval", about="excludes 0 exactly when p is at most 0.05"),
    Column("only_method", "only method", "count", ONE_ALONE),
    Column("only_kfac", "only K-FAC", "count", ONE_ALONE),
    Column("p", "p"),
    Column("holm", "Holm p", about="corrected over the methods of one outcome"),
    Column(
        "detectable",
        "detectable",
        "change",
        "the smallest difference that a t test over as many seeds detects with a power of 0.8 at 5 %",
    ),
)
TEST = (
    "three seeds or more: paired t test over the seeds, with its 95 % interval; two seeds: both values, no test; one "
    "seed: McNemar's exact test over the items with its interval, valid only for this network"
)


@dataclass(frozen=True)
class Tested:
    """A comparison with K-FAC, and its p corrected over the methods of one outcome, ``None`` without a test."""

    comparison: Comparison
    corrected: float | None

    @property
    def mark(self) -> str:
        """``*`` where the interval excludes 0, ``**`` where the difference is also significant after correction."""
        values = (self.comparison.p, self.corrected)
        return "*" * sum(p is not None and p <= SIGNIFICANT for p in values)


@TABLES.register("comparison", title="Against K-FAC, item by item", columns=COLUMNS, notes=(RULE, TEST))
def comparison(report: Report) -> Iterator[tuple[Cell, ...]]:
    """Each method and outcome against K-FAC, each at its chosen setting; base and oracles too."""
    for training in report.trainings:
        others, tested = compared(report, training)
        for outcome, outcome_tests in tested.items():
            for name, one in outcome_tests.items():
                group = others[name]
                method = (name, information_of(group), setting(group) or None)
                head = (report.names.training(training), outcome, *method, one.comparison.difference.n)
                yield (*head, *_cells(one.comparison, one.corrected))


def compared(report: Report, training: Training) -> tuple[dict[str, Group], dict[str, dict[str, Tested]]]:
    """Return the groups compared with K-FAC by name, base and oracles first, and their differences by outcome and name.

    Methods are at their chosen setting; those without one are left out. Both are empty when K-FAC has none.
    """
    if id(training) not in report.compared:
        report.compared[id(training)] = training, _compared(report, training)
    result: tuple[dict[str, Group], dict[str, dict[str, Tested]]] = report.compared[id(training)][1]
    return result


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
    for outcome in MEASURES:
        comparisons = {name: c for name, group in others.items() if (c := compare(group, kfac, outcome)) is not None}
        corrected = holm_of_known([c.p for c in comparisons.values()])
        tested[outcome] = {name: Tested(c, p) for (name, c), p in zip(comparisons.items(), corrected, strict=True)}
    return others, tested


def _cells(one: Comparison, corrected: float | None) -> tuple[Cell, ...]:
    detectable = None if one.detectable is None else Estimate(one.detectable, None, one.difference.n)
    shown = None if one.ends is None else ends_text(*one.ends)
    return one.difference, shown, one.only, one.only_other, p_text(one.p), p_text(corrected), detectable
