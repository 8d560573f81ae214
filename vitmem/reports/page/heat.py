"""Heat maps: measures by blocks and strength, and relative change by layer and strength. Does not import torch."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vitmem.reports.aggregate import Group, Training, at
from vitmem.reports.columns import MEASURES
from vitmem.reports.naming import setting_order, strength, strength_text, where
from vitmem.reports.page.look import FEW, PANEL, slug
from vitmem.reports.page.material import Drawing, Material, Panels
from vitmem.reports.render import fixed

# A perceptually uniform map for all kinds of colour vision (Nuñez et al. 2018).
COLOUR_MAP = "cividis"
OUTCOMES = "What is left by edited blocks and strength: means over the seeds in percent, on the report halves."
CHANGES = "The share of its norm by which each edited matrix changes, by strength: means over the seeds."


# With more pairs of training and method, only the first training and the first method of the others are drawn.
MANY = 24
# Maximum length of a line of blocks and layers.
LINE = 24


def heat_maps(material: Material) -> tuple[list[list[Panels]], int]:
    """Return the maps of each training and method, of measures and of the layers' changes, and the number left out.

    With many trainings only a part is drawn, to keep the page readable.
    """
    methods = [(training, material.report.methods(training)) for training in material.judged]
    pairs = [(training, groups) for training, found in methods for groups in found]
    if len(pairs) > MANY:
        drawn = [(methods[0][0], groups) for groups in methods[0][1]]
        drawn += [(training, material.report.leading(training)) for training, found in methods[1:] if found]
    else:
        drawn = pairs
    maps = [[*_outcomes(material, *pair), *_changes(material, *pair)] for pair in drawn]
    return [found for found in maps if found], len(pairs) - len(drawn)


def _outcomes(material: Material, training: Training, groups: Sequence[Group]) -> list[Panels]:
    places, strengths = dict.fromkeys(map(where, groups)), _strengths(groups)
    keys = [k for k in MEASURES if any(g.estimate(at("metrics", k)) is not None for g in groups)]
    if len(places) < FEW or len(strengths) < FEW or not keys:
        return []
    ticks, rows = _ticks(groups, strengths), [_broken(place) for place in places]
    height = 0.2 * sum(row.count("\n") + 1 for row in rows) + 0.14 * len(rows) + 0.6
    cells = {(where(g), strength_text(g)): g for g in groups}
    drawings = []
    for key in keys:
        figure = Figure(figsize=(max(0.5 * len(strengths) + 1.6, PANEL), height + _room(ticks)), layout="constrained")
        axes = figure.subplots()
        values = [[_mean(cells.get((p, s)), ("metrics", key), 100.0) for s in strengths] for p in places]
        _map(axes, np.array(values), rows, ticks, digits=0)
        axes.set_title(f"{key} (%)")
        drawings.append(_drawing(material, training, groups, f"outcomes-{key}", figure, f"{key}. {OUTCOMES}"))
    return [Panels(_title(material, training, groups), drawings, OUTCOMES)]


def _changes(material: Material, training: Training, groups: Sequence[Group]) -> list[Panels]:
    """Return the map of the layers' changes in the blocks with the most layers."""
    widest = max((_layers(g) for g in groups), key=len)
    inside = [g for g in groups if _layers(g) == widest]
    strengths = _strengths(inside)
    if len(widest) < FEW or len(strengths) < FEW:
        return []
    cells = {strength_text(g): g for g in inside}
    paths = [("edit", "layers", layer, "relative_change") for layer in widest]
    values = [[_mean(cells[text], path, 1.0) for text in strengths] for path in paths]
    ticks = _ticks(inside, strengths)
    width, height = 0.62 * len(strengths) + 2.2, 0.26 * len(widest) + 0.4
    figure = Figure(figsize=(width, height + _room(ticks)), layout="constrained")
    _map(figure.subplots(), np.array(values), widest, ticks, digits=2)
    caption = f"Blocks {where(inside[0])}. {CHANGES}"
    drawing = _drawing(material, training, groups, "changes", figure, caption)
    return [Panels(_title(material, training, groups), [drawing], caption)]


def _broken(name: str) -> str:
    """Return a set of blocks and layers in lines of at most ``LINE`` letters."""
    return "\n".join(textwrap.wrap(name.replace("+", "+ "), LINE)).replace("+ ", "+")


def _strengths(groups: Sequence[Group]) -> list[str]:
    """Return the strengths of ``groups`` as texts, in the order of the tables."""
    ordered = sorted(groups, key=lambda group: setting_order(group)[2])
    return list(dict.fromkeys(map(strength_text, ordered)))


def _ticks(groups: Sequence[Group], strengths: Sequence[str]) -> list[str]:
    """Return the parts of ``strengths`` that differ among them."""
    configs = {strength_text(group): strength(group) for group in groups}
    common = set.intersection(*(set(values.items()) for values in configs.values()))
    return [
        " ".join(f"{key} {value:g}" for key, value in configs[text].items() if (key, value) not in common)
        for text in strengths
    ]


def _room(ticks: Sequence[str]) -> float:
    """Return the height in inches needed for the longest of ``ticks`` below a map."""
    return 0.3 + 0.055 * max(map(len, ticks))


def _layers(group: Group) -> list[str]:
    """Return the paths of the layers that an edit changed, numbers by size."""
    row = next(iter(group.rows.values()))
    names = row.get("edit", {}).get("layers", {})
    return sorted(
        names, key=lambda name: [(part.isdigit(), int(part) if part.isdigit() else part) for part in name.split(".")]
    )


def _mean(group: Group | None, path: tuple[str, ...], scale: float) -> float:
    value = None if group is None else group.estimate(at(*path))
    return math.nan if value is None else scale * value.mean


def _map(axes: Axes, values: NDArray[np.float64], rows: Sequence[str], columns: Sequence[str], digits: int) -> None:
    """Draw ``values`` (r, c) with a number in each cell, dark on light and light on dark."""
    image = axes.imshow(np.ma.masked_invalid(values), cmap=COLOUR_MAP, aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    dark = np.asarray(image.norm(values), np.float64) < 0.5
    for (i, j), value in np.ndenumerate(values):
        if not math.isnan(value):
            colour = "white" if dark[i, j] else "black"
            axes.text(j, i, fixed(value, digits), ha="center", va="center", fontsize=7, color=colour)


def _title(material: Material, training: Training, groups: Sequence[Group]) -> str:
    names = material.report.names
    return f"{names.training(training)}, {names.method(groups[0])}"


def _drawing(
    material: Material, training: Training, groups: Sequence[Group], kind: str, figure: Figure, caption: str
) -> Drawing:
    names, title = material.report.names, _title(material, training, groups)
    words = f"{title}, heat map. {caption} The numbers stand in the cells and in the table of all settings."
    name = slug(f"heat-{kind}", names.training(training), names.method(groups[0]))
    return Drawing(name, figure, kind, words)
