"""Relative fall of memorized under each method over all training settings of a suite, and against K-FAC. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from vitmem.registry import TABLES
from vitmem.reports.aggregate import estimate
from vitmem.reports.budget import INFORMATION, information_of
from vitmem.reports.columns import METHOD
from vitmem.reports.naming import title_of
from vitmem.reports.paired import holm_of_known, t_test
from vitmem.reports.render import Cell, Column, p_text
from vitmem.reports.report import Report

from .outcomes import ALLOWED, ENOUGH, WORKS, Outcome, edited_layers, has_regime, outcomes

COLUMNS = (
    Column("allowed_drop", "allowed loss"),
    METHOD,
    Column("layers", "layers"),
    INFORMATION,
    Column("settings", "settings", "count"),
    Column("works", "works", "count"),
    Column("relative_fall", "relative fall", "percent"),
    Column("validation_minus_base", "validation - base", "change"),
    Column("fall_minus_kfac", "fall - K-FAC", "change"),
    Column("more_than_kfac", "more than K-FAC"),
    Column("p", "p"),
    Column("holm", "Holm p"),
)
NOTES = (
    "settings: ways to train whose base memorizes enough to be judged; relative fall and validation - base: mean and "
    "half-width of the 95 % t interval over these settings, each the mean over its seeds, at the blocks and strength "
    "that the allowed loss chose there (regime.md), of two settings (n=2) both values; a setting at which nothing was "
    "chosen counts as no change",
    f"works: settings with this verdict in regime.md: memorized falls by at least {100 * ENOUGH:g} % of itself, and "
    "validation by no more than the allowed loss",
    "fall - K-FAC: the same settings, paired; more than K-FAC: settings in which it takes out more; p: of the t test "
    "over these settings whose interval is shown, so at most 0.05 exactly where the interval leaves out 0; Holm p: "
    "corrected for the methods of one allowed loss",
    "layers: those that what was chosen edits, where the suite names them; the model's own where nothing stands",
)


@TABLES.register("regime_methods", title="By method, over all ways to train", columns=COLUMNS, notes=NOTES)
def regime_methods(report: Report) -> Iterator[tuple[Cell, ...]]:
    """What each method takes out over all the ways to train of a suite, for each allowed loss."""
    for allowed in ALLOWED if has_regime(report) else ():
        found: dict[str, list[Outcome]] = {}
        for outcome in outcomes(report, allowed):
            if outcome.judged:
                found.setdefault(report.names.method(outcome.first), []).append(outcome)
        plain = found.get(title_of("kfac"), [])
        ordered = sorted(found, key=lambda name: report.names.method_order(found[name][0].first))
        more = {name: _more(found[name], plain) for name in ordered}
        differences = {name: estimate(more[name]) for name in ordered}
        tests = [None if (d := differences[name]) is None else t_test(d) for name in ordered]
        for name, p, corrected in zip(ordered, tests, holm_of_known(tests), strict=True):
            against = (differences[name], _count(more[name]), p_text(p), p_text(corrected))
            yield (f"{100 * allowed:g}", name, *_cells(found[name]), *against)


def _cells(own: Sequence[Outcome]) -> tuple[Cell, ...]:
    falls, changes = ([_mean(values) for values in (getattr(o, what) for o in own)] for what in ("falls", "changes"))
    works = sum(o.verdict == WORKS for o in own)
    return edited_layers(own), information_of(own[0].first), len(own), works, estimate(falls), estimate(changes)


def _more(own: Sequence[Outcome], plain: Sequence[Outcome]) -> list[float]:
    """Return the relative fall of memorized minus that under K-FAC, by common setting; empty for K-FAC itself."""
    theirs = {id(o.training): _mean(o.falls) for o in plain}
    if own is plain:
        return []
    return [_mean(o.falls) - theirs[id(o.training)] for o in own if id(o.training) in theirs]


def _count(more: Sequence[float]) -> str | None:
    return f"{sum(d > 0 for d in more)} of {len(more)}" if more else None


def _mean(by_seed: Mapping[int, float]) -> float:
    return math.fsum(by_seed.values()) / len(by_seed) if by_seed else 0.0
