"""Shared style of the figures: colours, markers, error bars and notes on seeds. Imports matplotlib."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from matplotlib.figure import Figure

from vitmem.reports.aggregate import FEWEST, Estimate, Group, at
from vitmem.reports.report import Report

# Okabe and Ito's colours, distinguishable by colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666")
MARKERS = "osD^vP<>X*hp"
ORACLE_MARKERS = {"without_noisy": "1", "true_labels": "+", "early_stopped": "x"}
# A dollar in a name is a dollar, not a formula.
STYLE: Any = {
    "svg.hashsalt": "vitmem", "svg.fonttype": "path", "font.size": 9, "axes.titlesize": 9, "text.parse_math": False
}  # fmt: skip
DASHES = ("-", "--", ":", "-.")
UNSEEN = at("metrics", "reference_memorized")
VALIDATION, MEMORIZED = at("metrics", "validation"), at("metrics", "memorized")


def bar(value: Estimate, scale: float = 100.0) -> float:
    """Return the half-width of the interval of ``value``, NaN without one, so that no bar is drawn."""
    return math.nan if value.half is None else scale * value.half


def bars_note(seeds: Iterable[int]) -> str:
    """Return a note on the number of ``seeds`` behind the means of a figure and on its bars."""
    least, most = min(found := set(seeds) or {0}), max(found)
    means = f"means of {least if least == most else f'{least} to {most}'} seed{'' if most == 1 else 's'}"
    if most < FEWEST:
        return f"{means}: too few for an interval"
    return f"{means}; bars: 95 % t intervals" + ("" if least >= FEWEST else " of three seeds or more")


def name_bars(figure: Figure, seeds: Iterable[int]) -> None:
    """Write ``bars_note`` below the panels of ``figure``."""
    figure.supxlabel(bars_note(seeds), fontsize="small", color="#5c5c5c")


def point(group: Group) -> tuple[float, float] | None:
    """Return validation and memorized in percent."""
    estimates = group.estimate(VALIDATION), group.estimate(MEMORIZED)
    return None if estimates[0] is None or estimates[1] is None else (100 * estimates[0].mean, 100 * estimates[1].mean)


def many_methods(report: Report) -> bool:
    """Return whether any training has more methods than colours."""
    return max((len(report.methods(training)) for training, _ in report.judged), default=0) > len(COLOURS)
