"""Curvature or covariance: every basis, importance and kind of labels against K-FAC, over all suites. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vitmem.entries import Table
from vitmem.registry import TABLES
from vitmem.reports.aggregate import FEWEST, Estimate, estimate
from vitmem.reports.choose import GATE
from vitmem.reports.naming import title_of
from vitmem.reports.paired import holm_of_known, t_test
from vitmem.reports.render import Cell, Column, counted, p_text
from vitmem.reports.report import Report

from .factorial import KINDS, Kind, Observed, observed, once

KFAC, INPUT = title_of("kfac"), title_of("kfac_input")
COLUMNS = (
    Column("variant", "variant"),
    Column("trainings", "trainings", "count"),
    Column("unedited", "unedited", "count"),
    Column("memorized_minus_kfac", f"memorized - {KFAC}", "change"),
    Column("better_than_kfac", f"better than {KFAC}"),
    Column("p_kfac", "p"),
    Column("holm_kfac", "Holm p"),
    Column("memorized_minus_input", f"memorized - {INPUT}", "change"),
    Column("better_than_input", "better than the input side"),
    Column("p_input", "p"),
    Column("holm_input", "Holm p"),
    Column("output", "output basis"),
    Column("input", "input basis"),
    Column("importance", "importance"),
    Column("labels", "labels"),
)
NOTES = (
    "at no loss: of the settings of a variant that lose no selection accuracy, averaged over the seeds, the one under "
    "which memorized falls most on the selection halves, reported on the other halves; a variant without one counts as "
    "the base: unedited says on how many trainings, where its grid may be too strong (grids.md of the suite)",
    "memorized - K-FAC: points, on the same training and layers, averaged over the seeds and the sets of layers first; "
    "mean and half-width of the 95 % t interval over trainings (data, noise, network and recipe), of two (n=2) both",
    "better: trainings on which the variant leaves less memorized; p: of the t test whose interval is shown; Holm p: "
    "corrected for all variants against the same one",
    f"trainings: of suites of images with two variants or more, whose base memorizes at least {100 * GATE:g} %; of "
    "suites that share one, that with the most seeds and variants counts. Variants stand on trainings of their own: "
    "rows compare with K-FAC, not with each other",
    "labels: of the statistics, drawn from the network where nothing else stands; empty where no gradient is read. "
    "importance=tkfac: of one row an example it has the order of Shampoo's factors",
)


@dataclass(frozen=True)
class Line:
    """One variant over its trainings, against K-FAC and against the input side."""

    name: str
    kind: Kind
    labels: str
    found: tuple[Observed, ...]

    @property
    def over_kfac(self) -> list[float]:
        """Memorized minus that of K-FAC, by training."""
        return [one.over_kfac for one in self.found if one.over_kfac is not None]

    @property
    def over_input(self) -> list[float]:
        """Memorized minus that of the input side, by training."""
        return [one.over_input for one in self.found if one.over_input is not None]


def lines(found: Sequence[Observed]) -> list[Line]:
    """Return the variants in the order of ``KINDS``, sampled labels first."""
    by_name: dict[str, list[Observed]] = {}
    for one in sorted(once(found), key=lambda one: (KINDS.index(one.kind), one.labels != "sampled", one.labels)):
        by_name.setdefault(one.name, []).append(one)
    return [Line(name, some[0].kind, some[0].labels, tuple(some)) for name, some in by_name.items()]


def has_bases(found: Sequence[Observed]) -> bool:
    """Return whether any variant has enough trainings with K-FAC for an interval."""
    return any(len(line.over_kfac) >= FEWEST for line in lines(found))


@TABLES.register("bases")
class Bases(Table):
    """How much more each basis, importance and kind of labels leaves memorized than K-FAC and than its input side."""

    title = "Curvature or covariance"
    columns = COLUMNS
    notes = NOTES
    over_suites = True

    def observe(self, report: Report) -> list[Observed]:
        """Return the differences of each variant on each training of one suite."""
        return observed(report.suite, report.trainings)

    def about(self, report: Sequence[Observed]) -> str:
        """Return the sentence above the table."""
        return f"bases: memorized at no loss by what pairs of directions are read from, {_count(report)}."

    def rows(self, report: Sequence[Observed]) -> Iterator[tuple[Cell, ...]]:
        """Yield a row for each variant, if any has enough trainings with K-FAC."""
        shown = lines(report) if has_bases(report) else []
        kfac = _tested([line.over_kfac for line in shown])
        inner = _tested([line.over_input for line in shown])
        for line, against, other in zip(shown, kfac, inner, strict=True):
            kind, counts = line.kind, (len(line.found), sum(not one.edited for one in line.found))
            yield (line.name, *counts, *against, *other, kind.output, kind.input, kind.importance, line.labels)

    def remarks(self, report: Sequence[Observed], rows: Sequence[tuple[Cell, ...]]) -> Iterator[str]:
        """Yield the numbers of trainings with the input side, and of trainings by suite."""
        inputs = {one.training for one in once(report) if one.over_input is not None}
        yield f"memorized - {INPUT}: on {counted(len(inputs), 'training')}"
        suites = {one.suite for one in report}
        counts = {name: len({one.training for one in once(report) if one.suite == name}) for name in suites}
        told = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()) if count)
        yield f"trainings by suite, one of two suites in both: {told}"


def _count(found: Sequence[Observed]) -> str:
    return counted(len({one.training for one in found}), "training")


def _tested(values: Sequence[Sequence[float]]) -> list[tuple[Cell, ...]]:
    """Return the mean difference, the number of negative ones, p and Holm's p of each variant."""
    means: list[Estimate | None] = [estimate(some) for some in values]
    tests = [None if mean is None else t_test(mean) for mean in means]
    better = [f"{sum(d < 0 for d in some)} of {len(some)}" if some else None for some in values]
    return list(zip(means, better, map(p_text, tests), map(p_text, holm_of_known(tests)), strict=True))
