"""Pareto front of each method's settings, against validation. Does not import torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vitmem.reports.aggregate import Group, Reader, Training, at
from vitmem.reports.choose import choose
from vitmem.reports.page.look import Look, in_words, legend_below, slug
from vitmem.reports.page.material import Drawing, Material
from vitmem.reports.report import oracles
from vitmem.reports.style import ORACLE_MARKERS
from vitmem.reports.tables.front import undominated

# Measures against validation, and whether higher is better.
MEASURES = {"memorized": False, "recovered": True}
CAPTION = (
    "Each dot is a setting, the mean over the seeds on the report halves. Lines join the settings of a method that no "
    "other setting of it beats in both measures; a ring is the chosen one, the star the unedited model."
)


def pareto(material: Material) -> list[Drawing]:
    """Return a drawing for each training whose unedited model has validation and a measure against it."""
    return [drawing for training in material.judged for drawing in _drawing(material, training)]


def _drawing(material: Material, training: Training) -> list[Drawing]:
    report, base = material.report, training.base
    assert base is not None
    keys = [key for key in MEASURES if _points([base], key)]
    if not keys or not training.edits:
        return []
    name = report.names.training(training)
    methods = {report.names.method(groups[0]): groups for groups in report.methods(training)}
    figure = Figure(figsize=(4.4 * len(keys), 3.7), layout="constrained")
    for axes, key in zip(figure.subplots(1, len(keys), squeeze=False).flat, keys, strict=True):
        for method, groups in methods.items():
            _method(axes, groups, base, key, material.looks[method])
        _references(axes, training, key)
        axes.set(xlabel="validation (%)", ylabel=f"{key} (%)")
    known = {str(g.oracle): report.names.method(g) for g in oracles(training)}
    shown = {method: material.looks[method] for method in methods}
    handles = _handles(shown, known, any(base.estimate(_unseen(key)) is not None for key in keys))
    legend_below(figure, handles, [str(handle.get_label()) for handle in handles])
    words = f"{name}: {' and '.join(keys)} against validation. {in_words(report, training, [*keys, 'validation'])}"
    return [Drawing(slug("pareto", name), figure, f"{name}. {CAPTION}", words)]


def _points(groups: list[Group], key: str) -> list[tuple[float, float]]:
    """Return validation and ``key`` in percent of the groups that have both."""
    pairs = ((g.estimate(at("metrics", "validation")), g.estimate(at("metrics", key))) for g in groups)
    return [(100 * x.mean, 100 * y.mean) for x, y in pairs if x is not None and y is not None]


def _method(axes: Axes, groups: list[Group], base: Group, key: str, look: Look) -> None:
    points = np.array(_points(groups, key)).reshape(-1, 2)
    axes.plot(*points.T, ls="", marker=look.marker, color=look.colour, ms=3.5, alpha=0.45, mew=0)
    gains = points * [1, 1 if MEASURES[key] else -1]
    front = points[undominated(gains)]
    front = front[np.argsort(front[:, 0])]
    axes.plot(*front.T, ls=look.dash, marker=look.marker, color=look.colour, ms=4.5, lw=1.4)
    best = choose(groups, base).group
    for point in _points([best], key) if best is not None else []:
        axes.plot(*point, "o", ms=11, mfc="none", mec=look.colour, mew=1.6)


def _references(axes: Axes, training: Training, key: str) -> None:
    """Draw the unedited model, the oracles, and the level of a model that never saw the wrong labels."""
    assert training.base is not None
    for point in _points([training.base], key):
        axes.plot(*point, "*", color="black", ms=12, zorder=5)
        axes.axvline(point[0], color="black", lw=0.7, ls=":")
        axes.axhline(point[1], color="black", lw=0.7, ls=":")
    for group in oracles(training):
        for point in _points([group], key):
            axes.plot(*point, ORACLE_MARKERS.get(str(group.oracle), "x"), color="black", ms=8, zorder=5)
    unseen = training.base.estimate(_unseen(key))
    if unseen is not None:
        axes.axhline(100 * unseen.mean, color="black", lw=0.9, ls="--")
    axes.set_ylim(bottom=0)


def _unseen(key: str) -> Reader:
    return at("metrics", f"reference_{key}")


def _handles(methods: dict[str, Look], known: dict[str, str], unseen: bool) -> list[Any]:
    return [
        Line2D([], [], color="black", marker="*", ms=10, ls=":", lw=0.7, label="base"),
        *(Line2D([], [], color="black", marker=ORACLE_MARKERS.get(o, "x"), ls="", label=n) for o, n in known.items()),
        *([Line2D([], [], color="black", ls="--", lw=0.9, label="never seen")] if unseen else []),
        *(Line2D([], [], lw=1.4, ms=4.5, label=name, **look.line) for name, look in methods.items()),
        Line2D([], [], color="grey", marker="o", ms=10, mfc="none", ls="", label="chosen"),
    ]
