"""Recovery of memorized images after an edit, by further training or by restoring the removed weights."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitmem.registry import FIGURES
from vitmem.reports.aggregate import Training, at, canonical_text
from vitmem.reports.report import Report
from vitmem.reports.style import COLOURS, DASHES, bar, name_bars

from .tables import DIAL, RELEARN, Curve, curves

OUTCOMES = {RELEARN: ("memorized", "recovered"), DIAL: ("memorized", "recovered", "validation")}
LABELS = {RELEARN: "steps of training on", DIAL: "share of what was removed that is put back"}


@FIGURES.register("relearning", caption="What comes back after an edit when training goes on; dotted: the base.")
def relearning(report: Report) -> Figure | None:
    """What comes back after an edit when training goes on."""
    return _figure(report, RELEARN)


@FIGURES.register("dial", caption="What comes back when what an edit removed is put back in part; dotted: the base.")
def dial(report: Report) -> Figure | None:
    """What comes back when what an edit removed is put back in part."""
    return _figure(report, DIAL)


def _figure(report: Report, probe: str) -> Figure | None:
    """Return the figure of a ``probe``: means over the seeds in percent with their intervals, a row per training.

    Steps or restored shares are equally spaced, with the edit alone at 0. Curves after the same edit share a colour.
    """
    drawn = [(training, found) for training, _ in report.judged if (found := curves(report, training, probe))]
    if not drawn:
        return None
    outcomes = OUTCOMES[probe]
    figure = Figure(figsize=(3.6 * len(outcomes) + 2.3, 3.4 * len(drawn)), layout="constrained")
    panels = figure.subplots(len(drawn), len(outcomes), squeeze=False)
    for row, (training, found) in zip(panels, drawn, strict=True):
        steps = sorted({number for curve in found for number, _ in curve.points})
        for axes, outcome in zip(row, outcomes, strict=True):
            _panel(axes, outcome, training, found, steps)
            axes.set_xlabel(LABELS[probe])
        row[0].set_title(report.names.training(training), loc="left")
        row[-1].legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    name_bars(figure, (len(g.rows) for _, found in drawn for curve in found for _, g in curve.points))
    return figure


def _panel(axes: Axes, outcome: str, training: Training, found: Sequence[Curve], steps: Sequence[float]) -> None:
    read, seen = at("metrics", outcome), dict[str, int]()
    names = list(dict.fromkeys(canonical_text(curve.last.config["edit"]["after"]) for curve in found))
    for n, curve in enumerate(found):
        after = canonical_text(curve.last.config["edit"]["after"])
        dash = DASHES[seen.get(after, 0) % len(DASHES)]
        seen[after] = seen.get(after, 0) + 1
        points = [(number, value) for number, group in curve.points if (value := group.estimate(read)) is not None]
        axes.errorbar(
            # shifted, so that intervals do not overlap
            [steps.index(number) + 0.05 * (n - (len(found) - 1) / 2) for number, _ in points],
            [100 * value.mean for _, value in points],
            yerr=[bar(value) for _, value in points],
            color=COLOURS[names.index(after) % len(COLOURS)],
            ls=dash, marker="o", ms=3, lw=1.2, elinewidth=0.6, label=curve.name,
        )  # fmt: skip
    base = None if training.base is None else training.base.estimate(read)
    if base is not None:
        axes.axhline(100 * base.mean, color="black", lw=0.7, ls=":", label="base")
    axes.set_xticks(range(len(steps)), [f"{number:g}" for number in steps])
    axes.set_ylabel(f"{outcome} (%)")
    axes.set_ylim(bottom=0)
