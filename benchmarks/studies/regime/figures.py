"""A map of where each method works, and the same against the base's training loss. Imports matplotlib, no torch."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from vitmem.registry import FIGURES
from vitmem.reports.aggregate import Reader, Training, at, estimate
from vitmem.reports.render import fixed
from vitmem.reports.report import Report

from .outcomes import ENOUGH, MEMORIZED, NOTHING, WORKS, Outcome, edited_layers, has_regime, outcomes

# The x axis of the lower panels: the training loss if rows have it.
LOSS = at("selection", "train_loss")
MARKS: Mapping[str, Mapping[str, Any]] = {
    WORKS: {"marker": "o", "mfc": "black", "mec": "black"},
    "no": {"marker": "o", "mfc": "white", "mec": "black"},
    NOTHING: {"marker": "x", "mfc": "grey", "mec": "grey"},
}
# Marks of the cells by verdict, in addition to their shade.
CELLS: Mapping[str, Mapping[str, Any]] = {
    WORKS: {"fill": False, "edgecolor": "black", "lw": 2},
    NOTHING: {"facecolor": "white", "edgecolor": "#bbbbbb", "hatch": "////", "lw": 0},
}
ALLOWED = 0.0
CAPTION = (
    "Where each method works. In each cell the share of memorized that is gone at no loss of selection accuracy, in "
    "percent, on the report halves: framed where it is at least 60 and validation did not fall, hatched where the base "
    "memorizes too little, a dash where no setting loses nothing. Below, the same against the unedited network."
)
# Largest width of the figure in inches, smallest number of methods in a row, and the width for narrow maps with many
# networks.
WIDEST, PER_ROW, WIDEST_HIGH = 9.0, 3, 14.0
# With more networks than this, and than recipes, networks are rows instead of columns.
MANY = 12


@FIGURES.register("regime", caption=CAPTION)
def regime(report: Report) -> Figure | None:
    """Two panels per method: a map with a cell per training setting, and below it a scatter plot with a point each.

    Rows are recipes and noises, columns models and data; for many models they are swapped. Where each network has one
    recipe and noise, each network is a row of a single column.
    """
    if not has_regime(report):
        return None
    found = list(outcomes(report, ALLOWED))
    methods = list(dict.fromkeys(report.names.method(o.first) for o in found))
    cells = {id(o): (_ways(report, o.training), _networks(report, o.training)) for o in found}
    networks, ways = {network for _, network in cells.values()}, {way for way, _ in cells.values()}
    alone = len(networks) > 1 and len(networks) == len(set(cells.values()))  # each network is trained in one way
    high = alone or len(networks) > max(MANY, len(ways))
    if alone:
        cells = {key: (f"{network} {way}".strip(), "") for key, (way, network) in cells.items()}
    elif high:
        cells = {key: (network, way) for key, (way, network) in cells.items()}
    down, across = (list(dict.fromkeys(cell[side] for cell in cells.values())) for side in (0, 1))
    width, height = max(0.46 * len(across), 1.9), 0.26 * len(down)
    room = 0.065 * max(map(len, across), default=0)  # inches for the names below the map
    columns = min(len(methods), max(PER_ROW, int((WIDEST_HIGH if high else WIDEST) / width)))
    lines = -(-len(methods) // columns)
    by_method = {method: [o for o in found if report.names.method(o.first) == method] for method in methods}
    narrow = max(12, int(9 * width))
    names = {m: textwrap.fill(_title(m, own), narrow, break_long_words=False) for m, own in by_method.items()}
    room += 0.2 * max(name.count("\n") for name in names.values())
    size = (width * columns + 0.075 * max(map(len, down), default=0) + 0.4, (height + room + 2.6) * lines + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(2 * lines, columns, squeeze=False, sharey="row", height_ratios=[height, 2.0] * lines)
    above, under = panels[::2].ravel(), panels[1::2].ravel()
    for axes in (*above[len(methods) :], *under[len(methods) :]):
        axes.remove()
    read, label = _against(found)
    for axes, below, method in zip(above, under, methods, strict=False):
        own = by_method[method]
        _map(axes, {cells[id(o)]: o for o in own}, down, across)
        axes.set_title(names[method])
        _points(below, own, read)
        below.set_xlabel(label)
    for line in panels[1::2]:
        line[0].set_ylabel("fall of memorized (%)")
    points = {verdict: Line2D([], [], ls="", ms=5, **style) for verdict, style in MARKS.items()}
    handles: list[Any] = [
        (Rectangle((0, 0), 1, 1, **CELLS[v]), mark) if v in CELLS else mark for v, mark in points.items()
    ]
    together = {tuple: HandlerTuple(ndivide=None)}
    place: Any = {"loc": "outside lower center", "ncols": len(handles), "frameon": False}
    figure.legend(handles, list(points), handler_map=together, **place)
    return figure


def _title(method: str, own: Sequence[Outcome]) -> str:
    layers = edited_layers(own)
    return method if layers is None else f"{method} ({layers.replace('+', ', ')})"


def _ways(report: Report, training: Training) -> str:
    return " ".join(report.names.differing(training, ("noise", "recipe")))


def _networks(report: Report, training: Training) -> str:
    names = {str(t.config["model"]["name"]) for t in report.trainings}
    model = [str(training.config["model"]["name"])] if len(names) > 1 else []
    return " ".join([*model, *report.names.differing(training, ("data", "model"))])


def _against(found: Sequence[Outcome]) -> tuple[Reader, str]:
    if any(outcome.base.estimate(LOSS) is not None for outcome in found):
        return LOSS, "training loss (nats)"
    return MEMORIZED, "memorized before (share)"


def _map(axes: Axes, cells: Mapping[tuple[str, str], Outcome], down: Sequence[str], across: Sequence[str]) -> None:
    """Draw a cell for each training setting: light for a small relative fall, dark for a large one, with its number."""
    for (row, column), outcome in cells.items():
        x, y = across.index(column), down.index(row)
        fall = estimate(list(outcome.falls.values()))
        share = 0.0 if fall is None else min(max(fall.mean, 0.0), 1.0)
        style: dict[str, Any] = {"facecolor": str(1 - 0.5 * share), "edgecolor": "white", "lw": 0.8}
        if outcome.verdict == NOTHING:
            style = dict(CELLS[NOTHING])
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, **style))
        if outcome.verdict == WORKS:
            axes.add_patch(Rectangle((x - 0.42, y - 0.4), 0.84, 0.8, zorder=3, **CELLS[WORKS]))
        if outcome.verdict != NOTHING and fall is not None:
            text = "–" if outcome.choice.group is None else fixed(100 * fall.mean, 0)
            weight = "bold" if outcome.verdict == WORKS else "normal"
            axes.text(x, y, text, ha="center", va="center", fontsize=8, weight=weight)
    axes.set(xlim=(-0.5, len(across) - 0.5), ylim=(len(down) - 0.5, -0.5))
    axes.set_xticks(range(len(across)), across, rotation=90)
    axes.set_yticks(range(len(down)), down)
    axes.tick_params(length=0)


def _points(axes: Axes, found: Sequence[Outcome], read: Reader) -> None:
    """Draw the relative fall against ``read`` of the base, means over the seeds, marked by the verdict."""
    for outcome in found:
        place, fall = outcome.base.estimate(read), estimate(list(outcome.falls.values()))
        if place is not None and fall is not None:
            axes.plot(place.mean, 100 * fall.mean, ls="", ms=5, **MARKS[outcome.verdict])
    axes.axhline(100 * ENOUGH, color="black", lw=0.7, ls=":")
