"""Memory and accuracy during training, from the stored curves. Does not import torch."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vitmem.reports.aggregate import Group, Training
from vitmem.reports.page.look import HIGH, PANEL, legend_below, slug
from vitmem.reports.page.material import Curve, Drawing, Material, Panels
from vitmem.reports.render import fixed
from vitmem.reports.report import oracles
from vitmem.reports.style import COLOURS, DASHES

# Columns of a curve that are not shares.
NO_SHARE = ("epoch", "train_loss")
CAPTION = "One line a seed."


def training_curves(material: Material) -> list[Panels]:
    """Return panels for the unedited model and each oracle of a training with curves."""
    out = []
    for training in material.report.trainings:
        for group in (training.base, *oracles(training)):
            curves = _of(material, group) if group is not None else []
            if group is not None and curves:
                out.append(_panels(material, training, group, curves))
    return out


def _of(material: Material, group: Group) -> list[Curve]:
    ids = (row["ids"]["training"] for _, row in sorted(group.rows.items()))
    return [material.curves[id] for id in ids if id in material.curves]


def _panels(material: Material, training: Training, group: Group, curves: Sequence[Curve]) -> Panels:
    names = material.report.names
    title = names.training(training) if group.oracle is None else f"{names.training(training)}, {names.method(group)}"
    shares = [key for key in dict.fromkeys(k for curve in curves for k in curve) if key not in NO_SHARE]
    figures = [Figure(figsize=(PANEL, HIGH), layout="constrained") for _ in range(2)]
    left, right = (figure.subplots() for figure in figures)
    for n, key in enumerate(shares):
        _lines(left, curves, key, COLOURS[n % len(COLOURS)], DASHES[n // len(COLOURS) % len(DASHES)], 100.0)
    _lines(right, curves, "train_loss", "black", "-", 1.0)
    left.set(xlabel="epoch", ylabel="%")
    left.set_ylim(bottom=0)
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    right.set(xlabel="epoch", ylabel="training loss (nats)")
    legend_below(figures[0], *left.get_legend_handles_labels())
    end = "; ".join(
        f"{key.replace('_', ' ')} {fixed(100 * curves[0][key][-1], 1)} %" for key in shares if key in curves[0]
    )
    shown = (("shares", figures[0], f"at the end of the first seed: {end}."), ("loss", figures[1], "training loss."))
    drawings = [
        Drawing(slug("training", title, kind), figure, kind, f"{title}, {words}") for kind, figure, words in shown
    ]
    return Panels(title, drawings, CAPTION)


def _lines(axes: Axes, curves: Sequence[Curve], key: str, colour: str, dash: str, scale: float) -> None:
    """Draw ``key`` of each curve; the first one is named in the legend, the loss by its axis."""
    for n, curve in enumerate(c for c in curves if key in c):
        label = key.replace("_", " ") if n == 0 and key not in NO_SHARE else None
        axes.plot(curve["epoch"], scale * curve[key], color=colour, ls=dash, lw=1.2, alpha=0.8, label=label)
