"""Memorized against validation for every cell of a suite, a panel a model. Imports matplotlib, no torch.

The files are a pure function of the rows: no date, fixed salt for the names inside the SVG.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vitmem.files import write_whole, writing
from vitmem.reports.aggregate import Group, Training, at
from vitmem.reports.analyses import read_analyses
from vitmem.reports.bases import NAME as BASES
from vitmem.reports.bases import has_bases
from vitmem.reports.bases_figure import bases_figure
from vitmem.reports.choose import choose
from vitmem.reports.content import Report, oracles
from vitmem.reports.factorial import Observed, observed
from vitmem.reports.folders import suite_folders
from vitmem.reports.forest import forest
from vitmem.reports.inside_figures import inside_figures
from vitmem.reports.naming import strength, where
from vitmem.reports.probe_figure import probe_figure
from vitmem.reports.probes import DIAL, RELEARN, has_probe
from vitmem.reports.regime import has_regime
from vitmem.reports.regime_figure import regime_figure
from vitmem.reports.skill_figure import skill_figure
from vitmem.reports.tokens import has_tokens
from vitmem.reports.tokens_figure import has_headroom, headroom_figure, tokens_figure
from vitmem.reports.verdict_figure import drawn_verdicts, verdict_figure
from vitmem.rows import Belongs, read_rows

# Okabe and Ito's colours, told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#666666")
MARKERS = "osD^vP<>X*hp"
ORACLE_MARKERS = {"without_noisy": "1", "true_labels": "+", "early_stopped": "x"}
# A dollar in a name is a dollar, not the begin of a formula.
STYLE: Any = {
    "svg.hashsalt": "vitmem", "svg.fonttype": "path", "font.size": 9, "axes.titlesize": 9, "text.parse_math": False
}  # fmt: skip
UNSEEN = at("metrics", "reference_memorized")
VALIDATION, MEMORIZED = at("metrics", "validation"), at("metrics", "memorized")


def write_figures(results: Path, suite: str | None = None, belongs: Belongs | None = None) -> list[Path]:
    """Draw ``tradeoff`` as SVG and PNG, of all suites in ``results``, or of one; ``skills`` for text, and analyses.

    A suite of more methods than there are colours has ``methods`` in place of ``tradeoff``, one of networks trained in
    many ways ``regime`` too, a map of where each method works, one of images of several numbers of tokens ``tokens``
    and ``headroom``, one in which they are trained on after an edit ``relearning``, one in which what it removed is put
    back ``dial``, one of few networks with shrinkage beside its edits ``verdict``. Without ``suite`` that over all
    suites, ``bases``, is drawn too, into ``results`` itself. Returns the paths. ``belongs`` is asked of rows as
    ``read_rows`` does.
    Suites without a finished unedited model are left out. Raises InputError when ``suite`` has no rows.
    """
    written = []
    found: list[Observed] = []
    for folder in suite_folders(results, suite):
        report = Report(folder.name, read_rows(folder / "rows.jsonl", belongs), read_analyses(folder))
        found += observed(folder.name, report.trainings)
        trainings = [t for t in report.trainings if t.base is not None and point(t.base) is not None]
        if not trainings:
            continue
        out = folder / "figures"
        with matplotlib.rc_context(STYLE):
            if max(len(report.methods(t)) for t in trainings) > len(COLOURS):
                figures = {"methods": forest(report, trainings, COLOURS)}
            else:
                figures = {"tradeoff": tradeoff(report, trainings)}
            figures |= inside_figures(report)
            if told := drawn_verdicts(report, len(COLOURS)):
                figures["verdict"] = verdict_figure(report, told, COLOURS)
            if report.families:
                figures["skills"] = skill_figure(report, trainings, COLOURS)
            if has_regime(report):
                figures["regime"] = regime_figure(report)
            if has_tokens(report):
                figures["tokens"] = tokens_figure(report, COLOURS)
                if has_headroom(report):
                    figures["headroom"] = headroom_figure(report, COLOURS)
            for name, probe in (("relearning", RELEARN), ("dial", DIAL)):
                if has_probe(trainings, probe):
                    figures[name] = probe_figure(report, trainings, COLOURS, probe)
            for name, figure in figures.items():
                written += write_figure(figure, out / name, dpi=120)
    if suite is None and has_bases(found):
        with matplotlib.rc_context(STYLE):
            written += write_figure(bases_figure(found, COLOURS), results / BASES, dpi=120)
    return written


def write_figure(figure: Figure, path: Path, dpi: int) -> list[Path]:
    """Write ``figure`` to ``path`` with the suffixes .svg and .png, each whole or not at all; return both paths.

    Raises InputError or DiskFullError where it cannot be written.
    """
    kinds: dict[str, Any] = {"svg": {"metadata": {"Date": None, "Creator": None}}}
    kinds["png"] = {"dpi": dpi, "metadata": {"Software": None}}
    written = []
    for kind, options in kinds.items():
        file = path.with_name(f"{path.name}.{kind}")
        with writing(file):
            write_whole(file, partial(figure.savefig, format=kind, **options))
        written.append(file)
    return written


def tradeoff(report: Report, trainings: list[Training]) -> Figure:
    """Return the figure: means over the seeds in percent, a line for each method and block set."""
    methods, blocks = _styles(report, trainings)
    columns = min(3, len(trainings))
    rows = -(-len(trainings) // columns)
    # The Agg canvas of a Figure of one's own: nothing global, no window.
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


def point(group: Group) -> tuple[float, float] | None:
    """Return validation and memorized in percent."""
    found = group.estimate(VALIDATION), group.estimate(MEMORIZED)
    return None if found[0] is None or found[1] is None else (100 * found[0].mean, 100 * found[1].mean)


def _line(group: Group) -> tuple[str, str]:
    """Return block set and stopping rule: settings that differ in the rule's value alone share a line."""
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
    """Return what stands in the legend; the line of a model that has never seen the images only where it is drawn."""
    dashed = [Line2D([], [], color="black", ls="--", lw=0.9, label="never seen")]
    return [
        Line2D([], [], color="black", marker="*", ms=10, ls=":", lw=0.7, label="base"),
        *(Line2D([], [], color="black", marker=ORACLE_MARKERS.get(o, "x"), ls="", label=n) for o, n in known.items()),
        *(dashed if unseen else ()),
        *(Line2D([], [], color=colour, lw=2.5, label=name) for name, colour in methods.items()),
        Line2D([], [], color="grey", marker="o", ms=10, mfc="none", ls="", label="chosen"),
        *(Line2D([], [], color="grey", marker=m, ms=4, ls="", label=name) for name, m in blocks.items()),
    ]
