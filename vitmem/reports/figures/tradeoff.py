"""Memorized against validation for every setting of a suite, one panel per model. Imports matplotlib, not torch."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vitmem.registry import FIGURES
from vitmem.reports.aggregate import Group, Training
from vitmem.reports.choose import choose
from vitmem.reports.naming import strength, where
from vitmem.reports.report import Report, oracles
from vitmem.reports.style import COLOURS, MARKERS, ORACLE_MARKERS, UNSEEN, many_methods, point

CAPTION = (
    "Memorized against validation for every setting, a line a method and set of blocks; a ring is the chosen setting, "
    "the star the unedited model."
)


@FIGURES.register("tradeoff", caption=CAPTION)
def tradeoff(report: Report) -> Figure | None:
    """Memorized against validation for every setting, means over the seeds in percent, one panel per training.

    A suite of more methods than colours has the figure 'methods' instead.
    """
    trainings = [training for training, base in report.judged if point(base) is not None]
    if not trainings or many_methods(report):
        return None
    methods, blocks = _styles(report, trainings)
    columns = min(3, len(trainings))
    rows = -(-len(trainings) // columns)
    # Figure with its own Agg canvas: no global state, no window.
    figure = Figure(figsize=(4.6 * columns + 1.8, 3.8 * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, training in zip(panels, trainings, strict=False):
        _panel(axes, report, training, methods, blocks)
    for axes in panels[len(trainings) :]:
        axes.set_axis_off()
    known = {str(g.oracle): report.names.method(g) for t in trainings for g in oracles(t)}
    unseen = any(t.base is not None and t.base.estimate(UNSEEN) is not None for t in trainings)
    figure.legend(handles=_handles(methods, blocks, known, unseen), loc="outside right center", frameon=False)
    return figure


def _styles(report: Report, trainings: list[Training]) -> tuple[dict[str, str], dict[str, str]]:
    """Return a colour for each method and a marker for each block set of the suite."""
    settings = [group for t in trainings for groups in report.methods(t) for group in groups]
    methods = dict.fromkeys(report.names.method(g) for g in sorted(settings, key=report.names.method_order))
    blocks = dict.fromkeys(where(g) for g in settings)
    return (
        {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(methods)},
        {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(blocks)},
    )


def _line(group: Group) -> tuple[str, str]:
    """Return block set and stopping rule: settings that differ only in the rule's value share a line."""
    return where(group), " ".join(sorted(strength(group)))


def _panel(axes: Axes, report: Report, training: Training, methods: dict[str, str], blocks: dict[str, str]) -> None:
    assert training.base is not None
    base = point(training.base)
    assert base is not None
    for groups in report.methods(training):
        colour = methods[report.names.method(groups[0])]
        for place, rule in dict.fromkeys(map(_line, groups)):
            points = [p for g in groups if _line(g) == (place, rule) and (p := point(g)) is not None]
            if points:
                x, y = zip(*points, strict=True)
                axes.plot(x, y, color=colour, marker=blocks[place], lw=0.8, ms=4, alpha=0.75)
        best = choose(groups, training.base).group
        ring = point(best) if best is not None else None
        if ring is not None:
            axes.plot(*ring, "o", ms=11, mfc="none", mec=colour, mew=1.6)
    axes.axvline(base[0], color="black", lw=0.7, ls=":")
    axes.axhline(base[1], color="black", lw=0.7, ls=":")
    unseen = training.base.estimate(UNSEEN)
    if unseen is not None:
        axes.axhline(100 * unseen.mean, color="black", lw=0.9, ls="--")
    axes.plot(*base, "*", color="black", ms=12, zorder=5)
    for group in oracles(training):
        if (at_end := point(group)) is not None:
            axes.plot(*at_end, ORACLE_MARKERS.get(str(group.oracle), "x"), color="black", ms=8, zorder=5)
    axes.set(xlabel="validation (%)", ylabel="memorized (%)", title=report.names.training(training))
    axes.set_ylim(bottom=0)


def _handles(methods: dict[str, str], blocks: dict[str, str], known: dict[str, str], unseen: bool) -> list[Any]:
    """Return the legend handles; the line of a model that never saw the images only if it is drawn."""
    dashed = [Line2D([], [], color="black", ls="--", lw=0.9, label="never seen")]
    return [
        Line2D([], [], color="black", marker="*", ms=10, ls=":", lw=0.7, label="base"),
        *(Line2D([], [], color="black", marker=ORACLE_MARKERS.get(o, "x"), ls="", label=n) for o, n in known.items()),
        *(dashed if unseen else ()),
        *(Line2D([], [], color=colour, lw=2.5, label=name) for name, colour in methods.items()),
        Line2D([], [], color="grey", marker="o", ms=10, mfc="none", ls="", label="chosen"),
        *(Line2D([], [], color="grey", marker=m, ms=4, ls="", label=name) for name, m in blocks.items()),
    ]
