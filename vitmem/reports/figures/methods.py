"""Each method at its chosen setting as a dot with its interval, one panel per measure, for many methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitmem.registry import FIGURES
from vitmem.reports.aggregate import Group, Training, at
from vitmem.reports.budget import information_of
from vitmem.reports.choose import choose
from vitmem.reports.columns import MEASURES
from vitmem.reports.report import Report, oracles
from vitmem.reports.style import COLOURS, bar, many_methods, name_bars, point

ORACLE = "oracle"


@FIGURES.register("methods", caption="Each method at its chosen setting; the dotted line is the base.")
def methods(report: Report) -> Figure | None:
    """Each method at its chosen setting as a dot with its interval, by what it is given: for many methods.

    A method without a qualifying setting has a name and no dot.
    """
    trainings = [training for training, base in report.judged if point(base) is not None]
    if not trainings or not many_methods(report):
        return None
    lines = [_lines(report, training) for training in trainings]
    heights = [len(some) for some in lines]
    figure = Figure(figsize=(8.6, 0.21 * sum(heights) + 0.9 * len(lines)), layout="constrained")
    panels = figure.subplots(len(lines), len(MEASURES), squeeze=False, sharey="row", height_ratios=heights)
    kinds = dict.fromkeys(kind for some in lines for kind, _, _ in some)
    colour = dict(zip(kinds, ("black", *COLOURS, *COLOURS), strict=False))
    for row, training, some in zip(panels, trainings, lines, strict=True):
        for axes, outcome in zip(row, MEASURES, strict=True):
            _panel(axes, outcome, training, some, colour)
        row[0].set_yticks(range(len(some)), [_label(kind, name) for kind, name, _ in some])
        row[0].set_ylim(len(some) - 0.5, -0.5)
        row[1].set_title(report.names.training(training))
    name_bars(figure, (len(group.rows) for some in lines for _, _, group in some if group is not None))
    return figure


def _label(kind: str, name: str) -> str:
    return name if kind in ("", ORACLE) else f"{name} ({kind})"


def _lines(report: Report, training: Training) -> list[tuple[str, str, Group | None]]:
    """Return each line from the top: its group of methods, its name, and the drawn setting."""
    assert training.base is not None
    known = [(ORACLE, report.names.method(g), g) for g in (training.base, *oracles(training))]
    lines = [
        (information_of(groups[0]) or "", report.names.method(groups[0]), choose(groups, training.base).group)
        for groups in report.methods(training)
    ]
    return [*known, *lines]


def _panel(
    axes: Axes,
    outcome: str,
    training: Training,
    lines: Sequence[tuple[str, str, Group | None]],
    colour: Mapping[str, str],
) -> None:
    read = at("metrics", outcome)
    base = None if training.base is None else training.base.estimate(read)
    if base is not None:
        axes.axvline(100 * base.mean, color="black", lw=0.7, ls=":")
    for height, (kind, _, group) in enumerate(lines):
        value = None if group is None else group.estimate(read)
        if value is not None:
            axes.errorbar(100 * value.mean, height, xerr=bar(value), fmt="o", ms=4, lw=1, color=colour[kind])
    for height in range(1, len(lines)):
        if lines[height][0] != lines[height - 1][0]:
            axes.axhline(height - 0.5, color="#cccccc", lw=0.7)
    axes.set_xlabel(f"{outcome} (%)")
