"""Error bars of figures, and how many seeds they are of. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterable

from matplotlib.figure import Figure

from vitmem.reports.aggregate import FEWEST, Estimate


def bar(value: Estimate, scale: float = 100.0) -> float:
    """Return the half-width of the interval of ``value``, not a number where it has none: then no bar is drawn."""
    return math.nan if value.half is None else scale * value.half


def bars_note(seeds: Iterable[int]) -> str:
    """Return of how many ``seeds`` the means of a figure are, and what its bars are."""
    least, most = min(found := set(seeds) or {0}), max(found)
    means = f"means of {least if least == most else f'{least} to {most}'} seed{'' if most == 1 else 's'}"
    if most < FEWEST:
        return f"{means}: too few for an interval"
    return f"{means}; bars: 95 % t intervals" + ("" if least >= FEWEST else " of three seeds or more")


def name_bars(figure: Figure, seeds: Iterable[int]) -> None:
    """Write ``bars_note`` below the panels of ``figure``."""
    figure.supxlabel(bars_note(seeds), fontsize="small", color="#5c5c5c")
