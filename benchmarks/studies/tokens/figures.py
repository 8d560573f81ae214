"""The lead over shrinkage against tokens, training images and what edited layers carry. Imports matplotlib."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vitmem.registry import FIGURES
from vitmem.reports.aggregate import at
from vitmem.reports.choose import GATE
from vitmem.reports.report import Report
from vitmem.reports.style import COLOURS, MARKERS, bar, name_bars

from .leads import IMAGES, TOKENS, Dot, Size, dots
from .tables import Place, has_sizes

# Horizontal distance, in octaves, between the methods at one size.
APART = 0.09
WIDE = 28  # characters per line beside a panel
CARRIED = {"ablated_memorized": "memorized", "ablated_validation": "validation"}
LEAD = "lead over shrinkage (points)"
LENGTH = {"epochs", "steps"}
CAPTION = (
    "How much less each method leaves memorized than the best shrinkage, in points, at no loss of selection accuracy, "
    "on the report halves, by "
)


@FIGURES.register("tokens", caption=CAPTION + "the number of tokens that an image is.")
def tokens(report: Report) -> Figure | None:
    """The lead over shrinkage against tokens: a row a family of network and set of layers, a column a number of images.

    What else differs between trainings of the same family, images and tokens has rows of its own.
    """
    return _leads(report, TOKENS, IMAGES)


@FIGURES.register("images", caption=CAPTION + "the number of training images.")
def images(report: Report) -> Figure | None:
    """The lead over shrinkage against training images, as :func:`tokens` with a column a number of tokens."""
    return _leads(report, IMAGES, TOKENS)


def _leads(report: Report, along: Size, across: Size) -> Figure | None:
    """Draw the leads against one size, a column each value of the other; ``None`` where the first does not differ."""
    found = dots(report) if has_sizes(report) else []
    if len({along.of(dot.place) for dot in found}) < 2:
        return None
    extra = _extra(report, [dot.place for dot in found])
    rows = list(dict.fromkeys(_row(dot.place, extra) for dot in found))
    columns = sorted({across.of(dot.place) for dot in found})
    methods = list(dict.fromkeys(dot.method for dot in found))
    style = {name: (COLOURS[n % len(COLOURS)], (n - (len(methods) - 1) / 2) * APART) for n, name in enumerate(methods)}
    figure = Figure(figsize=(2.9 * len(columns) + 2.8, 2.1 * len(rows) + 0.9), layout="constrained")
    panels = figure.subplots(len(rows), len(columns), squeeze=False, sharex=True, sharey=True)
    for line, row in zip(panels, rows, strict=True):
        for axes, count in zip(line, columns, strict=True):
            here = [dot for dot in found if across.of(dot.place) == count and _row(dot.place, extra) == row]
            _panel(axes, here, along, style)
        line[0].set_ylabel("\n".join(row))
    for axes, count in zip(panels[0], columns, strict=True):
        axes.set_title(across.told(count))
    counts = sorted({along.of(dot.place) for dot in found})
    for axes in panels[-1]:
        axes.set_xlabel(along.label)
        axes.set_xticks([math.log2(count) for count in counts], [f"{count:,}" for count in counts])
    figure.supylabel(LEAD, fontsize="medium")
    handles = [Line2D([], [], color=colour, marker="o", ms=4, lw=1, label=name) for name, (colour, _) in style.items()]
    figure.legend(handles=[*handles, *_hollow(found)], loc="outside right center", frameon=False)
    name_bars(figure, (dot.lead.n for dot in found))
    return figure


def _extra(report: Report, found: Sequence[Place]) -> dict[int, str]:
    """Return the differences between trainings with one family, number of images and of tokens."""
    parts = {id(p): dict(x.split("=", 1) for x in report.names.differing(p.site.training)) for p in found}
    varying: dict[str, set[str]] = {}
    for one in found:
        for other in found:
            if (one.family, one.images, one.tokens) == (other.family, other.images, other.tokens):
                mine, theirs = parts[id(one)], parts[id(other)]
                keys = {key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)}
                # the length of training differs between families by design
                varying.setdefault(one.family, {"data"}).update(keys - LENGTH or keys)
    return {
        id(p): " ".join(f"{key}={value}" for key, value in parts[id(p)].items() if key in varying[p.family])
        for p in found
    }


def _row(place: Place, extra: Mapping[int, str]) -> tuple[str, ...]:
    """Return the label of a row: the family, other differences, and the layers if an edit names them."""
    layers = "" if place.site.layers is None else textwrap.fill(", ".join(place.site.layers), WIDE)
    return tuple(text for text in (place.family, extra[id(place)], layers) if text)


def _panel(axes: Axes, found: Sequence[Dot], along: Size, style: Mapping[str, tuple[str, float]]) -> None:
    """Draw a line per method; the dotted line is the best shrinkage."""
    axes.axhline(0, color="black", lw=0.7, ls=":")
    for method, (colour, shift) in style.items():
        own = sorted((dot for dot in found if dot.method == method), key=lambda dot: along.of(dot.place))
        if own:
            x = [math.log2(along.of(dot.place)) + shift for dot in own]
            y = [100 * dot.lead.mean for dot in own]
            axes.errorbar(x, y, yerr=[bar(dot.lead) for dot in own], color=colour, lw=1, elinewidth=0.7)
            for left, high, dot in zip(x, y, own, strict=True):
                axes.plot(left, high, marker="o", ms=4, color=colour, mfc=colour if dot.place.judged else "white")


@FIGURES.register(
    "headroom",
    caption="The lead of the input side against what the network still does with the edited matrices at zero.",
)
def headroom(report: Report) -> Figure | None:
    """The lead of the input side against what its layers carry, a dot a training and set of layers.

    What a network still does with the edited matrices at zero lies elsewhere. Shapes are families, colours tokens.
    """
    found = [dot for dot in dots(report) if dot.told] if has_sizes(report) else []
    if not found:
        return None
    counts = sorted({dot.place.tokens for dot in found})
    colour = {count: COLOURS[n % len(COLOURS)] for n, count in enumerate(counts)}
    families = list(dict.fromkeys(dot.place.family for dot in found))
    shape = {family: MARKERS[n % len(MARKERS)] for n, family in enumerate(families)}
    figure = Figure(figsize=(8.6, 3.6), layout="constrained")
    panels = figure.subplots(1, len(CARRIED), sharey=True)
    for axes, (key, word) in zip(panels, CARRIED.items(), strict=True):
        axes.axhline(0, color="black", lw=0.7, ls=":")
        for dot in found:
            ablated = dot.place.site.ablated
            carried = None if ablated is None else ablated.estimate(at("metrics", key))
            if carried is not None:
                own: Any = {"color": colour[dot.place.tokens], "marker": shape[dot.place.family]}
                own["mfc"] = own["color"] if dot.place.judged else "white"
                axes.errorbar(100 * carried.mean, 100 * dot.lead.mean, yerr=bar(dot.lead), ms=5, elinewidth=0.5, **own)
        axes.set_xlabel(f"{word} with the edited matrices at zero (%)")
    panels[0].set_ylabel(f"{found[0].method}: {LEAD}")
    handles = [Line2D([], [], color="grey", marker=mark, ls="", label=name) for name, mark in shape.items()]
    handles += [Line2D([], [], color=c, marker="o", ls="", label=TOKENS.told(n)) for n, c in colour.items()]
    figure.legend(handles=[*handles, *_hollow(found)], loc="outside right center", frameon=False)
    name_bars(figure, (dot.lead.n for dot in found))
    return figure


def _hollow(found: Sequence[Dot]) -> list[Line2D]:
    """Return the legend entry of hollow dots, if any."""
    label = f"base memorizes\nless than {100 * GATE:g} %"
    hollow = Line2D([], [], color="grey", marker="o", ms=5, mfc="white", ls="", label=label)
    return [] if all(dot.place.judged for dot in found) else [hollow]
