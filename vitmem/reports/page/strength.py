"""Measures along the change of the weights, one line per method. Does not import torch."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitmem.reports.aggregate import Group, Training, at
from vitmem.reports.columns import CHANGE_OF_WEIGHTS, MEASURES
from vitmem.reports.page.look import FEW, Look, in_words, legend_below, place, slug
from vitmem.reports.page.material import Drawing, Material
from vitmem.reports.style import bar, bars_note

CAPTION = (
    "Along the share of the norm by which the edited matrices change, from the unedited model on the left: each method "
    "in the blocks of its chosen setting"
)


def strength_curves(material: Material) -> list[Drawing]:
    """Return a drawing for each training with a method of several settings."""
    return [drawing for training in material.judged for drawing in _drawing(material, training)]


def _drawing(material: Material, training: Training) -> list[Drawing]:
    report, base = material.report, training.base
    assert base is not None
    keys = [key for key in MEASURES if base.estimate(at("metrics", key)) is not None]
    lines = {}
    for groups in report.methods(training):
        settings = [g for g in place(groups, base) if g.estimate(CHANGE_OF_WEIGHTS) is not None]
        if len(settings) >= FEW:
            lines[report.names.method(groups[0])] = sorted(settings, key=_change)
    if not lines or not keys:
        return []
    name = report.names.training(training)
    figure = Figure(figsize=(3.3 * len(keys), 3.1), layout="constrained")
    panels = figure.subplots(1, len(keys), squeeze=False)[0]
    for axes, key in zip(panels, keys, strict=True):
        for method, groups in lines.items():
            _line(axes, [base, *groups], key, material.looks[method], method)
        axes.set(xlabel="‖ΔW‖/‖W‖", title=key)
        axes.set_ylim(bottom=0)
    panels[0].set_ylabel("%")
    handles, labels = panels[0].get_legend_handles_labels()
    legend_below(figure, handles, labels)
    note = bars_note(len(group.rows) for groups in lines.values() for group in groups)
    words = f"{name}: {', '.join(keys)} along the change of the weights. {in_words(report, training, keys)}"
    return [Drawing(slug("strength", name), figure, f"{name}. {CAPTION}, {note}.", words)]


def _change(group: Group) -> float:
    """Return the mean relative change of the edited weights, 0 for the unedited model."""
    value = group.estimate(CHANGE_OF_WEIGHTS)
    return 0.0 if value is None else value.mean


def _line(axes: Axes, groups: Sequence[Group], key: str, look: Look, label: str) -> None:
    shown = [(_change(group), e) for group in groups if (e := group.estimate(at("metrics", key))) is not None]
    x = [change for change, _ in shown]
    y = [100 * e.mean for _, e in shown]
    halves = [bar(e) for _, e in shown]
    axes.errorbar(x, y, yerr=halves, label=label, lw=1.2, elinewidth=0.6, ms=3.5, **look.line)
