"""What each method leaves of each family of questions: bars with intervals over the seeds. No torch."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from vitmem.reports.aggregate import Group, Training, at
from vitmem.reports.choose import choose
from vitmem.reports.content import Report


def skill_figure(report: Report, trainings: list[Training], colours: tuple[str, ...]) -> Figure:
    """Return a panel a model: retention by family at each method's chosen setting, and what is recited still.

    Families are in the order in which K-FAC keeps them, or the first method where there is no K-FAC.
    """
    figure = Figure(figsize=(8, 3.2 * len(trainings)), layout="constrained")
    for axes, training in zip(figure.subplots(len(trainings), 1, squeeze=False).flat, trainings, strict=True):
        assert training.base is not None
        chosen = [(report.names.method(g[0]), choose(g, training.base).group) for g in report.methods(training)]
        shown = [(name, group) for name, group in chosen if group is not None]
        names = _ordered(report.families, training.base, shown[0][1]) if shown else []
        for n, (method, group) in enumerate(shown):
            _bars(axes, names, training.base, group, n, len(shown), colours[n % len(colours)], method)
        axes.axhline(100, color="black", lw=0.7, ls=":")
        axes.set_xticks(range(len(names)), [name.replace("_", "\n") for name in names])
        axes.set(ylabel="kept of the base (%)")
        axes.set_title(report.names.training(training), loc="left")
        axes.set_ylim(bottom=0)
        if shown:
            axes.legend(frameon=False, ncols=len(shown), loc="lower right", bbox_to_anchor=(1, 1))
    return figure


def _kept(group: Group, base: Group, name: str) -> tuple[float, float] | None:
    """Return mean and half-width of the interval in percent; the recited strings are compared with the base's."""
    if name != "memorized":
        found = group.estimate(at("metrics", f"retention_{name}"))
        return None if found is None else (100 * found.mean, 100 * (found.half or 0.0))
    found, before = (g.estimate(at("metrics", "memorized")) for g in (group, base))
    if found is None or before is None or before.mean == 0:
        return None
    return 100 * found.mean / before.mean, 100 * (found.half or 0.0) / before.mean


def _ordered(families: list[str], base: Group, first: Group) -> list[str]:
    """Return the families that the base answers, the best kept first, and the recited strings last."""
    found = {name: kept for name in families if (kept := _kept(first, base, name)) is not None}
    return [*sorted(found, key=lambda name: -found[name][0]), "memorized"]


def _bars(
    axes: Any, names: list[str], base: Group, group: Group, n: int, methods: int, colour: str, label: str
) -> None:
    width = 0.8 / methods
    places = [i - 0.4 + width * (n + 0.5) for i in range(len(names))]
    values = [_kept(group, base, name) or (0.0, 0.0) for name in names]
    heights, halves = zip(*values, strict=True)
    axes.bar(places, heights, width, yerr=halves, color=colour, label=label, error_kw={"lw": 0.8, "capsize": 2})
