"""Measures along the change of the weights, one line per method. Does not import torch."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitmem.reports.aggregate import Group, Training, at
from vitmem.reports.columns import CHANGE_OF_WEIGHTS, MEASURES
from vitmem.reports.page.look import FEW, HIGH, PANEL, Company, Look, in_words, legend_below, place, slug
from vitmem.reports.page.material import Drawing, Material, Panels
from vitmem.reports.style import bar, bars_note

CAPTION = (
    "Along the share of the norm by which the edited matrices change, from the unedited model on the left: each method "
    "in the blocks of its chosen setting"
)


def strength_curves(material: Material) -> list[Panels]:
    """Return panels for each training, and the methods that may see the same, with a method of several settings."""
    return [
        panels
        for training in material.judged
        for company in material.companies
        for panels in _panels(material, training, company)
    ]


def _panels(material: Material, training: Training, company: Company) -> list[Panels]:
    report, base = material.report, training.base
    assert base is not None
    keys = [key for key in MEASURES if base.estimate(at("metrics", key)) is not None]
    lines = {}
    for groups in report.methods(training):
        settings = [g for g in place(groups, base) if g.estimate(CHANGE_OF_WEIGHTS) is not None]
        if len(settings) >= FEW and report.names.method(groups[0]) in company.names:
            lines[report.names.method(groups[0])] = sorted(settings, key=_change)
    if not lines:
        return []
    title = ", ".join(text for text in (report.names.training(training), company.title) if text)
    drawings = []
    for key in keys:
        figure = Figure(figsize=(PANEL, HIGH), layout="constrained")
        axes = figure.subplots()
        for method, groups in lines.items():
            _line(axes, [base, *groups], key, material.looks[method], method)
        axes.set(xlabel="‖ΔW‖/‖W‖", ylabel=f"{key} (%)")
        axes.set_ylim(bottom=0)
        legend_below(figure, *axes.get_legend_handles_labels())
        words = f"{title}: {key} along the change of the weights. {in_words(report, training, [key], company.names)}"
        drawings.append(Drawing(slug("strength", title, key), figure, key, words))
    note = bars_note(len(group.rows) for groups in lines.values() for group in groups)
    return [Panels(title, drawings, f"{CAPTION}, {note}.")] if drawings else []


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
