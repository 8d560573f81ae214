"""Heat maps: measures by blocks and strength, and relative change by layer and strength. Does not import torch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vitmem.reports.aggregate import Group, Training, at
from vitmem.reports.columns import MEASURES
from vitmem.reports.naming import setting_order, strength, strength_text, where
from vitmem.reports.page.look import FEW, slug
from vitmem.reports.page.material import Drawing, Material
from vitmem.reports.render import fixed

# A perceptually uniform map for all kinds of colour vision (Nuñez et al. 2018).
COLOUR_MAP = "cividis"
OUTCOMES = "What is left by edited blocks and strength: means over the seeds in percent, on the report halves."
CHANGES = "The share of its norm by which each edited matrix changes, by strength: means over the seeds."


# With more pairs of training and method, only the first training and the first method of the others are drawn.
MANY = 24


def heat_maps(material: Material) -> tuple[list[list[Drawing]], int]:
    """Return the maps of each training and method, of measures and of the layers' changes, and the number left out.

    With many trainings only a part is drawn, to keep the page readable.
    """
    methods = [(training, material.report.methods(training)) for training in material.judged]
    pairs = [(training, groups) for training, found in methods for groups in found]
    if len(pairs) > MANY:
        drawn = [
            (training, groups)
            for n, (training, found) in enumerate(methods)
            for groups in found[: None if n == 0 else 1]
        ]
    else:
        drawn = pairs
    maps = [[*_outcomes(material, *pair), *_changes(material, *pair)] for pair in drawn]
    return [found for found in maps if found], len(pairs) - len(drawn)


def _outcomes(material: Material, training: Training, groups: Sequence[Group]) -> list[Drawing]:
    places, strengths = dict.fromkeys(map(where, groups)), _strengths(groups)
    keys = [k for k in MEASURES if any(g.estimate(at("metrics", k)) is not None for g in groups)]
    if len(places) < FEW or len(strengths) < FEW or not keys:
        return []
    ticks = _ticks(groups, strengths)
    width, height = (0.5 * len(strengths) + 0.4) * len(keys) + 1.6, 0.34 * len(places) + 0.6
    figure = Figure(figsize=(width, height + _room(ticks)), layout="constrained")
    cells = {(where(g), strength_text(g)): g for g in groups}
    panels = figure.subplots(1, len(keys), squeeze=False, sharey=True)[0]
    for axes, key in zip(panels, keys, strict=True):
        values = [[_mean(cells.get((p, s)), ("metrics", key), 100.0) for s in strengths] for p in places]
        _map(axes, np.array(values), list(places), ticks, digits=0)
        axes.set_title(f"{key} (%)")
    return [_drawing(material, training, groups, "outcomes", figure, OUTCOMES)]


def _changes(material: Material, training: Training, groups: Sequence[Group]) -> list[Drawing]:
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
    width, height = 0.62 * len(strengths) + 3.2, 0.26 * len(widest) + 0.4
    figure = Figure(figsize=(width, height + _room(ticks)), layout="constrained")
    _map(figure.subplots(), np.array(values), widest, ticks, digits=2)
    return [_drawing(material, training, groups, "changes", figure, f"Blocks {where(inside[0])}. {CHANGES}")]


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


def _drawing(
    material: Material, training: Training, groups: Sequence[Group], kind: str, figure: Figure, caption: str
) -> Drawing:
    names = material.report.names
    training_name, method = names.training(training), names.method(groups[0])
    title = f"{training_name}, {method}"
    words = f"{title}, heat map. {caption} The numbers stand in the cells and in the table of all settings."
    return Drawing(slug(f"heat-{kind}", training_name, method), figure, f"{title}. {caption}", words)
