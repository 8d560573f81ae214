"""Pareto front of each method's settings, against validation. Does not import torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vitmem.reports.aggregate import Group, Reader, Training, at
from vitmem.reports.choose import choose
from vitmem.reports.page.look import HIGH, PANEL, Look, in_words, legend_below, slug
from vitmem.reports.page.material import Drawing, Material, Panels
from vitmem.reports.report import oracles
from vitmem.reports.style import ORACLE_MARKERS
from vitmem.reports.tables.front import undominated

# Measures against validation, and whether higher is better.
MEASURES = {"memorized": False, "recovered": True}
# Settings further from the unedited model, in points of validation, would squeeze the others together.
FARTHEST = 15.0
CAPTION = (
    "Each dot is a setting, the mean over the seeds on the report halves. Lines join the settings of a method that no "
    "other setting of it beats in both measures; a ring is the chosen one, the star the unedited model."
)
OTHERS = " Grey dots are the settings of the other methods."
CUT = f" Settings that lose more than {FARTHEST:g} points of validation are left of the panels."


def pareto(material: Material) -> list[Panels]:
    """Return panels for each training whose unedited model has validation and a measure against it.

    Each measure has a panel for the methods that may see the same, all with the same axes.
    """
    return [panels for training in material.judged for panels in _panels(material, training)]


def _panels(material: Material, training: Training) -> list[Panels]:
    report, base = material.report, training.base
    assert base is not None
    keys = [key for key in MEASURES if _points([base], key)]
    methods = {report.names.method(groups[0]): groups for groups in report.methods(training)}
    here = [company for company in material.companies if methods.keys() & {*company.names}]
    if not keys or not here:
        return []
    name = report.names.training(training)
    drawings, cut = [], False
    for key in keys:
        points = [_points(groups, key) for groups in ([base], oracles(training), *methods.values())]
        x = np.array([point[0] for some in points for point in some])
        y = np.array([point[1] for some in points for point in some])
        least = max(x.min(), _points([base], key)[0][0] - FARTHEST)
        cut |= bool(x.min() < least)
        for company in here:
            figure = Figure(figsize=(PANEL, HIGH), layout="constrained")
            axes = figure.subplots()
            shown = {method: methods[method] for method in company.names if method in methods}
            for groups in (groups for method, groups in methods.items() if method not in shown):
                axes.plot(*np.array(_points(groups, key)).reshape(-1, 2).T, ls="", marker=".", color="#d4d4d4", ms=3)
            for method, groups in shown.items():
                _method(axes, groups, base, key, material.looks[method])
            _references(axes, training, key)
            axes.set(xlabel="validation (%)", ylabel=f"{key} (%)", title=company.title)
            axes.set_xlim(least - 0.05 * (x.max() - least) - 0.1, x.max() + 0.05 * (x.max() - least) + 0.1)
            axes.set_ylim(0, max(1.08 * y.max(), 1.0))
            known = {str(g.oracle): report.names.method(g) for g in oracles(training)}
            looks = {method: material.looks[method] for method in shown}
            handles = _handles(looks, known, base.estimate(_unseen(key)) is not None)
            legend_below(figure, handles, [str(handle.get_label()) for handle in handles])
            title = ", ".join(text for text in (f"{key} against validation", company.title) if text)
            words = f"{name}: {title}. {in_words(report, training, [key, 'validation'], company.names)}"
            drawings.append(Drawing(slug("pareto", name, key, company.title), figure, title, words))
    caption = CAPTION + (OTHERS if len(here) > 1 else "") + (CUT if cut else "")
    return [Panels(name, drawings, caption)]


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
