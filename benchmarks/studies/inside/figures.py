"""Figures of the analyses: memorized against other inputs by band, and spectra. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitmem.entries import Figure as FigureEntry
from vitmem.registry import FIGURES
from vitmem.reports.aggregate import Estimate, Training
from vitmem.reports.analyses import Line, lines_of, number, over_seeds
from vitmem.reports.report import Report
from vitmem.reports.style import DASHES, bar, name_bars

from .tables import BANDS, BASES, SIDES

# Largest number of trainings with figures; larger suites have only tables.
MOST = 4
SHORT = ("0-10", "10-25", "25-50", "50-100")
FIRST = (1, 2, 5, 10, 20, 50)
Seeds = Mapping[int, Sequence[Line]]


def _analysed(report: Report, analysis: str) -> list[Training]:
    """Return the trainings with an analysis; empty for a suite of many trainings."""
    some, lines = [training for training, _ in report.judged], report.analyses.get(analysis, ())
    return [training for training in some if lines_of(training, lines)] if len(some) <= MOST else []


@FIGURES.register("bands")
class Bands(FigureEntry):
    """Memorized over other inputs in the share of the squared norm by band, a panel a basis and a line a layer."""

    caption = (
        "Memorized over other inputs. The part of the squared norm of what enters each layer that lies in a band of "
        "directions, by basis; 1 where the band tells nothing."
    )

    def draw(self, report: Report) -> Figure | None:
        """Return the figure, a row of panels a training; ``None`` without an analysis."""
        trainings = _analysed(report, "bands")
        if not trainings:
            return None
        figure = _figure(report, trainings, "bands", list(BASES), "memorized / other", _band_panel)
        name_bars(figure, (len(lines_of(training, report.analyses["bands"])) for training in trainings))
        return figure

    def in_words(self, report: Report) -> str:
        """Return the largest and the smallest ratio of each training."""
        return " ".join(_in_words(report, training) for training in _analysed(report, "bands"))


def _band_panel(axes: Axes, basis: str, seeds: Seeds) -> None:
    places = range(len(BANDS))
    for layer, style in _styles(seeds):
        values = [over_seeds(seeds, partial(_share_ratio, layer, basis, low)) for low, _ in BANDS]
        shown = [(x, e) for x, e in zip(places, values, strict=True) if e is not None]
        axes.errorbar(
            [x for x, _ in shown], [e.mean for _, e in shown], yerr=[bar(e, 1.0) for _, e in shown],
            lw=1.2, elinewidth=0.5, marker="o", ms=3, label=layer, **style,
        )  # fmt: skip
    axes.axhline(1, color="black", lw=0.7, ls=":")
    axes.set_xticks(places, SHORT)
    axes.set_xlabel(f"band of the directions of {BASES[basis]} (%)")


@FIGURES.register(
    "spectra",
    caption="Spectra. The part of the trace of A, of G and of ‖W‖² that the first directions of each layer hold.",
)
def spectra(report: Report) -> Figure | None:
    """The part of the trace in the first directions, a panel for each of A, G and W and a line a layer."""
    trainings = _analysed(report, "spectrum")
    if not trainings:
        return None
    return _figure(report, trainings, "spectrum", list(SIDES), "part of the trace (%)", _spectrum_panel)


def _spectrum_panel(axes: Axes, side: str, seeds: Seeds) -> None:
    for layer, style in _styles(seeds):
        values = [over_seeds(seeds, partial(_of_layer, layer, f"{side}_{first}")) for first in FIRST]
        shown = [(x, 100 * e.mean) for x, e in zip(FIRST, values, strict=True) if e is not None]
        axes.plot(*zip(*shown, strict=True), lw=1.2, marker="o", ms=3, label=layer, **style)
    axes.set_xscale("log")
    axes.set_xticks(FIRST, [str(first) for first in FIRST])
    axes.minorticks_off()
    axes.set_ylim(0, 103)
    axes.set_xlabel(f"first directions of {SIDES[side]} (%)")


def _figure(
    report: Report,
    trainings: Sequence[Training],
    analysis: str,
    keys: Sequence[str],
    label: str,
    panel: Callable[[Axes, str, Seeds], None],
) -> Figure:
    figure = Figure(figsize=(3.2 * len(keys) + 2.4, 3.0 * len(trainings)), layout="constrained")
    rows = figure.subplots(len(trainings), len(keys), squeeze=False, sharey="row")
    for row, training in zip(rows, trainings, strict=True):
        seeds = lines_of(training, report.analyses[analysis])
        for axes, key in zip(row, keys, strict=True):
            panel(axes, key, seeds)
        row[0].set(ylabel=label)
        row[0].set_title(report.names.training(training), loc="left")
    figure.legend(*rows[0][0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    return figure


def _styles(seeds: Seeds) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each layer with a colour by its block, dark to light, and dashes by its name inside the block."""
    layers = list(dict.fromkeys(line["layer"] for lines in seeds.values() for line in lines))
    within = list(dict.fromkeys(layer.rpartition(".")[2] for layer in layers))
    blocks = list(dict.fromkeys(layer.rpartition(".")[0] for layer in layers))
    shades = matplotlib.colormaps["viridis"]
    for layer in layers:
        block, _, name = layer.rpartition(".")
        depth = blocks.index(block) / max(1, len(blocks) - 1)
        yield layer, {"color": shades(0.85 * depth), "ls": DASHES[within.index(name) % len(DASHES)]}


def _share_ratio(layer: str, basis: str, low: str, line: Line) -> float | None:
    here = line["layer"] == layer and line["basis"] == basis and line["from"] == low
    return number(line, "share_ratio") if here else None


def _of_layer(layer: str, column: str, line: Line) -> float | None:
    return number(line, column) if line["layer"] == layer else None


def _in_words(report: Report, training: Training) -> str:
    """Return the largest and the smallest share ratio of K-FAC's bands, as alternative text of the figure."""
    seeds = lines_of(training, report.analyses["bands"])
    found: list[tuple[Estimate, str, str]] = []
    for layer, _ in _styles(seeds):
        for low, name in BANDS:
            value = over_seeds(seeds, partial(_share_ratio, layer, "kfac", low))
            found += [] if value is None else [(value, layer, name)]
    if not found:
        return ""
    least, most = (pick(found, key=lambda one: one[0].mean) for pick in (min, max))
    told = (f"{e.mean:.2f} in the {name} of {layer}" for e, layer, name in (least, most))
    return f"{report.names.training(training)}: memorized over other inputs from {' to '.join(told)}."
