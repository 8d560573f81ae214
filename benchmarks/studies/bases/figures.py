"""Every variant against K-FAC and its input side as a dot with its interval, ordered. Imports matplotlib, no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitmem.entries import Figure as FigureEntry
from vitmem.registry import FIGURES
from vitmem.reports.aggregate import Estimate, estimate
from vitmem.reports.report import Report
from vitmem.reports.style import COLOURS, bar

from .factorial import Observed, observed
from .tables import INPUT, KFAC, has_bases, lines


@FIGURES.register("bases")
class Bases(FigureEntry):
    """Memorized less that of K-FAC, and of the input side, in points; the best variant above."""

    over_suites = True

    def observe(self, report: Report) -> list[Observed]:
        """Return the differences of each variant on each training of one suite."""
        return observed(report.suite, report.trainings)

    def draw(self, report: Sequence[Observed]) -> Figure | None:
        """Return the figure; ``None`` if no variant has enough trainings with K-FAC."""
        return _figure(report) if has_bases(report) else None


def _figure(found: Sequence[Observed]) -> Figure:
    shown = sorted(lines(found), key=lambda line: _place(estimate(line.over_kfac)))
    figure = Figure(figsize=(8.6, 0.24 * len(shown) + 1.1), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _panel(left, [line.over_kfac for line in shown], COLOURS[0], f"memorized - {KFAC} (points)")
    _panel(right, [line.over_input for line in shown], COLOURS[1], f"memorized - {INPUT} (points)")
    left.set_yticks(range(len(shown)), [f"{line.name} ({len(line.found)})" for line in shown])
    left.set_ylim(len(shown) - 0.5, -0.5)
    note = "in brackets: trainings on the left; bars: 95 % t intervals over trainings, of three or more"
    figure.supxlabel(note, fontsize="small", color="#5c5c5c")
    return figure


def _place(mean: Estimate | None) -> float:
    return 0.0 if mean is None else mean.mean


def _panel(axes: Axes, values: Sequence[Sequence[float]], colour: str, label: str) -> None:
    axes.axvline(0, color="black", lw=0.7, ls=":")
    for height, some in enumerate(values):
        mean = estimate(some)
        if mean is not None:
            half = bar(mean)
            fill = "white" if math.isnan(half) else colour
            axes.errorbar(100 * mean.mean, height, xerr=half, fmt="o", ms=4, lw=1, color=colour, mfc=fill)
    axes.set_xlabel(label)
