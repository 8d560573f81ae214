"""The verdict as a figure: memorized against validation for each method, one panel per network. No torch."""

from __future__ import annotations

from math import nan

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitmem.registry import FIGURES
from vitmem.reports.aggregate import Group
from vitmem.reports.choose import choose
from vitmem.reports.lead import SHRINKAGE
from vitmem.reports.report import Report
from vitmem.reports.style import COLOURS, MEMORIZED, VALIDATION, bar, bars_note, point
from vitmem.reports.tables.verdict import Verdict, verdicts

MOST = 3


def _drawn(report: Report) -> list[Verdict]:
    """Return the verdicts if one figure can show them: at most three networks, each with all three kinds of shrinkage.

    Empty otherwise, and for suites of more methods than colours.
    """
    drawn = verdicts(report)
    few = 0 < len(drawn) <= MOST and all(len(report.methods(v.training)) <= len(COLOURS) for v in drawn)
    kinds = [{groups[0].method for groups in report.methods(v.training)} for v in drawn]
    return drawn if few and all(kind.issuperset(SHRINKAGE) for kind in kinds) else []


@FIGURES.register(
    "verdict",
    caption="What each method leaves memorized, against validation: settings as thin lines, the chosen one at no loss "
    "as a dot, the base a star.",
)
def verdict(report: Report) -> Figure | None:
    """Memorized at no loss for each method, against validation, one panel per network."""
    drawn = _drawn(report)
    if not drawn:
        return None
    methods = dict.fromkeys(report.names.method(g[0]) for v in drawn for g in report.methods(v.training))
    colour = dict(zip(methods, COLOURS, strict=False))
    figure = Figure(figsize=(5.2 * len(drawn) + 0.4, 4.6), layout="constrained")
    for axes, one in zip(figure.subplots(1, len(drawn), squeeze=False).flat, drawn, strict=True):
        _panel(axes, report, one, colour)
    seeds = bars_note(len(g.rows) for v in drawn for g in (v.training.base, v.edit) if g is not None)
    figure.supxlabel(
        f"lines: all settings of a method; dots: the one chosen at no loss of selection accuracy\n{seeds}",
        fontsize="small",
        color="#5c5c5c",
    )
    return figure


def _panel(axes: Axes, report: Report, one: Verdict, colour: dict[str, str]) -> None:
    base = one.training.base
    assert base is not None
    axes.set(xlabel="validation (%)", ylabel="memorized (% of the wrong labels)", ylim=(-3, 108))
    axes.set_title(report.names.training(one.training))
    x, y = _at(base)
    axes.axvline(x, color="black", lw=0.7, ls=":")
    handles = [axes.plot(x, y, "*", color="black", ms=13, zorder=6, label=f"base: {y:.1f}")[0]]
    chosen_x = [x]
    for groups in report.methods(one.training):
        name = report.names.method(groups[0])
        for place in dict.fromkeys(str(g.config["edit"].get("blocks")) for g in groups):
            points = [_at(g) for g in groups if str(g.config["edit"].get("blocks")) == place]
            axes.plot(*zip(*points, strict=True), color=colour[name], lw=1, marker=".", ms=4, alpha=0.5)
        best = choose(groups, base, 0.0).group
        if best is None:
            handles += axes.plot([], [], "o", mfc="none", color=colour[name], label=f"{name}: none without loss")
            continue
        bx, by = _at(best)
        chosen_x.append(bx)
        high, wide = (bar(found) if (found := best.estimate(read)) else nan for read in (MEMORIZED, VALIDATION))
        look = colour[name]
        axes.errorbar([bx], [by], [high], [wide], "o", ms=9, color=look, mec="black", mew=0.8, zorder=5, elinewidth=1)
        handles += axes.plot([], [], "o", ms=9, mec="black", color=look, label=f"{name}: {by:.1f}")
    # the strongest settings ruin a network: limit the axes to the region around the base
    axes.set_xlim(min(chosen_x) - 14, max(chosen_x) + 3)
    axes.legend(handles=handles, loc="best", frameon=True, fontsize="small", title="memorized (%)")


def _at(group: Group) -> tuple[float, float]:
    """Return validation and memorized in percent, NaN if not measured."""
    return point(group) or (nan, nan)
