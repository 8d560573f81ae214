"""Retention of each family of questions under each method, with intervals over the seeds. Does not import torch."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.figure import Figure

from vitmem.registry import FIGURES
from vitmem.reports.aggregate import Group, at
from vitmem.reports.choose import choose
from vitmem.reports.naming import setting_order, strength, strength_text, where
from vitmem.reports.report import Report
from vitmem.reports.style import COLOURS, bar, name_bars

# Position of a legend: outside, to the right of its panel.
BESIDE: Any = {"frameon": False, "loc": "center left", "bbox_to_anchor": (1, 0.5)}
# The range of retention (%): slightly above the maximum, ignoring wide intervals of few seeds.
RANGE = (0, 110)


@FIGURES.register(
    "skills", caption="Retention of each family of questions at the chosen settings, and along K-FAC's strength."
)
def skills(report: Report) -> Figure | None:
    """Retention by family at each method's chosen setting, and along K-FAC's strength, two panels per model.

    Families are sorted by their retention under K-FAC, or under the first method without K-FAC; recitation is shown
    beside them.
    """
    trainings = [training for training, _ in report.judged] if report.families else []
    if not trainings:
        return None
    figure = Figure(figsize=(9.5, 6.4 * len(trainings)), layout="constrained")
    panels = figure.subplots(2 * len(trainings), 1, squeeze=False)[:, 0]
    for training, axes, below in zip(trainings, panels[::2], panels[1::2], strict=True):
        assert training.base is not None
        chosen = [(groups, choose(groups, training.base).group) for groups in report.methods(training)]
        shown = [(report.names.method(group), group) for _, group in chosen if group is not None]
        with_choice = [(groups, group) for groups, group in chosen if group is not None]
        first = min(with_choice, key=lambda one: report.names.leading_order(one[1]), default=None)
        names = [] if first is None else _ordered(report.families, training.base, first[1])
        for n, (method, group) in enumerate(shown):
            _bars(axes, names, training.base, group, n, len(shown), COLOURS[n % len(COLOURS)], method)
        axes.axhline(100, color="black", lw=0.7, ls=":")
        axes.set_xticks(range(len(names)), [name.replace("_", "\n") for name in names])
        axes.set(ylabel="kept of the base (%)")
        axes.set_title(report.names.training(training), loc="left")
        axes.set_ylim(RANGE)
        if shown:
            axes.legend(**BESIDE)
        along, label = ([], "") if first is None else (_along(*first), report.names.method(first[1]))
        _curves(below, names, training.base, along, label)
    name_bars(figure, (len(group.rows) for training in trainings for group in training.edits))
    return figure


def _along(groups: list[Group], chosen: Group) -> list[Group]:
    """Return the settings of a method in the chosen one's blocks, without matched ones, by strength."""
    free = [g for g in groups if where(g) == where(chosen) and not any("match" in key for key in strength(g))]
    return sorted(free, key=setting_order, reverse=True)


def _curves(axes: Any, names: list[str], base: Group, groups: list[Group], label: str) -> None:
    """Draw the retention of each family at every strength, the weakest edit first."""
    if not groups:
        axes.set_axis_off()
        return
    for n, name in enumerate(names):
        kept = [_kept(group, base, name) or (math.nan, 0.0) for group in groups]
        places = [i + 0.03 * (n - len(names) / 2) for i in range(len(groups))]
        means, halves = zip(*kept, strict=True)
        style: dict[str, Any] = {"color": "black", "ls": "--"} if name == "memorized" else {"color": f"C{n}"}
        style |= {"lw": 1.2, "elinewidth": 0.6, "marker": "o", "ms": 3}
        axes.errorbar(places, means, yerr=halves, label=name.replace("_", " "), **style)
    axes.set_xticks(range(len(groups)), [strength_text(group) for group in groups])
    axes.set(ylabel="kept of the base (%)", ylim=RANGE)
    axes.set_title(f"{label}, {where(groups[0])}", loc="left")
    axes.legend(**BESIDE)


def _kept(group: Group, base: Group, name: str) -> tuple[float, float] | None:
    """Return mean and half-width of the interval in percent; recited strings are compared with the base's."""
    if name != "memorized":
        retention = group.estimate(at("metrics", f"retention_{name}"))
        return None if retention is None else (100 * retention.mean, bar(retention))
    retention, before = (g.estimate(at("metrics", "memorized")) for g in (group, base))
    if retention is None or before is None or before.mean == 0:
        return None
    return 100 * retention.mean / before.mean, bar(retention) / before.mean


def _ordered(families: list[str], base: Group, first: Group) -> list[str]:
    """Return the families that the base answers, by descending retention, and the recited strings last."""
    retained = {name: kept for name in families if (kept := _kept(first, base, name)) is not None}
    return [*sorted(retained, key=lambda name: -retained[name][0]), "memorized"]


def _bars(
    axes: Any, names: list[str], base: Group, group: Group, n: int, methods: int, colour: str, label: str
) -> None:
    width = 0.8 / methods
    places = [i - 0.4 + width * (n + 0.5) for i in range(len(names))]
    values = [_kept(group, base, name) or (0.0, 0.0) for name in names]
    heights, halves = zip(*values, strict=True)
    axes.bar(places, heights, width, yerr=halves, color=colour, label=label, error_kw={"lw": 0.8, "capsize": 2})
