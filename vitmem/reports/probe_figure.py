"""What comes back of the memory while a network is trained on after an edit, against steps: a line an edit."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitmem.reports.aggregate import Training, at, canonical_text
from vitmem.reports.content import Report
from vitmem.reports.probes import Curve, curves

OUTCOMES = ("memorized", "recovered")
DASHES = ("-", "--", ":", "-.")


def relearning_figure(report: Report, trainings: Sequence[Training], colours: Sequence[str]) -> Figure:
    """Return the figure: means over the seeds with 95 % intervals in percent, a row of panels a training.

    The steps stand at equal distances, the edit alone at 0. Curves after the same edit share a colour. The dotted line
    is the unedited model.
    """
    drawn = [(training, found) for training in trainings if (found := curves(report, training))]
    figure = Figure(figsize=(9.5, 3.4 * len(drawn)), layout="constrained")
    panels = figure.subplots(len(drawn), len(OUTCOMES), squeeze=False)
    for row, (training, found) in zip(panels, drawn, strict=True):
        steps = sorted({number for curve in found for number, _ in curve.points})
        for axes, outcome in zip(row, OUTCOMES, strict=True):
            _panel(axes, outcome, training, found, steps, colours)
        row[0].set_title(report.names.training(training), loc="left")
        row[-1].legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _panel(
    axes: Axes,
    outcome: str,
    training: Training,
    found: Sequence[Curve],
    steps: Sequence[int],
    colours: Sequence[str],
) -> None:
    read, seen = at("metrics", outcome), dict[str, int]()
    names = list(dict.fromkeys(canonical_text(curve.last.config["edit"]["after"]) for curve in found))
    for n, curve in enumerate(found):
        after = canonical_text(curve.last.config["edit"]["after"])
        dash = DASHES[seen.get(after, 0) % len(DASHES)]
        seen[after] = seen.get(after, 0) + 1
        points = [(number, value) for number, group in curve.points if (value := group.estimate(read)) is not None]
        axes.errorbar(
            # beside each other: intervals at one place would hide each other
            [steps.index(number) + 0.05 * (n - (len(found) - 1) / 2) for number, _ in points],
            [100 * value.mean for _, value in points],
            yerr=[100 * (value.half or 0.0) for _, value in points],
            color=colours[names.index(after) % len(colours)],
            ls=dash, marker="o", ms=3, lw=1.2, elinewidth=0.6, label=curve.name,
        )  # fmt: skip
    base = None if training.base is None else training.base.estimate(read)
    if base is not None:
        axes.axhline(100 * base.mean, color="black", lw=0.7, ls=":", label="base")
    axes.set_xticks(range(len(steps)), [str(number) for number in steps])
    axes.set(xlabel="steps of training on", ylabel=f"{outcome} (%)")
    axes.set_ylim(bottom=0)
