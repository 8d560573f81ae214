"""Predictors of the success of an edit, measured on the unedited network. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitmem.entries import Table
from vitmem.registry import TABLES
from vitmem.reports.aggregate import Estimate, Reader, at
from vitmem.reports.analyses import averages
from vitmem.reports.columns import METHOD
from vitmem.reports.paired import holm_of_known
from vitmem.reports.render import Cell, Column, not_zero, p_text
from vitmem.reports.report import Report

from .outcomes import has_regime
from .ranks import FEWEST_TESTED, Floats, Tested, from_resamples, rank_correlation, separation, weights
from .targets import ENOUGH, LEADS, WORKS, Unit, targets

# Metrics of the base on the selection half, label-free ones first; constant ones are omitted.
QUANTITIES = (
    "train_loss", "given_train", "loss_upper_share", "held_out_confidence", "knn_backed", "knn_unbacked",
    "clean_train", "memorized", "recovered", "validation", "gap", "ece", "nll", "auroc_loss",
)  # fmt: skip
# The same with the edited matrices at zero, from the rows of the edit.
HEADROOM = ("ablated_memorized", "ablated_validation")
TOKENS = "tokens"
# Smallest number of settings for a rank correlation.
FEWEST = 4
# Training id -> name -> quantity
Analysed = Mapping[str, Mapping[str, float]]
COLUMNS = (
    Column("target", "target"),
    METHOD,
    Column("quantity", "quantity of the base"),
    Column("settings", "settings", "count"),
    Column("trainings", "trainings", "count"),
    Column("hits", "hits", "count"),
    Column("spearman", "Spearman", "number"),
    Column("spearman_ends", "95 % bootstrap"),
    Column("p", "p"),
    Column("holm", "Holm p"),
    Column("auroc", "AUROC", "number"),
    Column("auroc_ends", "95 % bootstrap of AUROC"),
)
NOTES = (
    "Spearman: rank correlation, over trainings (setting and seed), of a quantity of the unedited network on the "
    f"selection half with how far a method goes on the report half at no loss of selection accuracy: of '{WORKS}' the "
    f"relative fall of memorized, of '{LEADS}' how much less it leaves memorized than the best shrinkage (uniform "
    "scaling, SVD and random basis, one choice among those that the suite has) of the same layers; a method without a "
    "setting that loses nothing leaves the base. Settings whose base memorizes too little are left out (the gate of "
    "regime.md)",
    f"hits: of '{WORKS}' trainings whose own fall and change of validation meet the rule of regime.md at an allowed "
    f"loss of 0, of '{LEADS}' those with a lead of at least {100 * ENOUGH:g} points; there each set of layers counts "
    "as a training. AUROC: how often a hit has more of the quantity than another training (below 0.5: less)",
    "bootstrap: settings are drawn with replacement, each with all its seeds and layers (1,999 resamples); p: of the "
    "same resamples, twice the share on the other side of 0, so at most 0.05 exactly where the interval leaves out 0; "
    f"of fewer than {FEWEST_TESTED} settings neither is given: their resamples are too much alike",
    "ablated: with the edited matrices at zero, of the largest set of blocks (and of layers, where a target has one "
    "choice among several) that the method edits",
)


@dataclass(frozen=True)
class Sample:
    """Trainings of one method: a quantity, the score of the edit, whether it is a hit, and the setting, (n,) each."""

    quantity: Floats
    score: Floats
    hits: NDArray[np.bool_]
    setting: NDArray[np.int64]


@TABLES.register("predictors")
class Predictors(Table):
    """How well quantities of the unedited network rank how far an edit goes, and separate where it goes far enough."""

    title = "What of the unedited network tells it beforehand"
    columns = COLUMNS
    notes = NOTES

    def rows(self, report: Report) -> Iterator[tuple[Cell, ...]]:
        """Yield a row for each target, method and quantity of the base, of suites of many trainings."""
        analysed = averages(report.analyses)
        told = sorted({name for values in analysed.values() for name in values})
        for target, methods in targets(report).items() if has_regime(report) else ():
            for name, units in methods.items():
                found = ((q, _sample(units, analysed, q)) for q in (*QUANTITIES, *HEADROOM, TOKENS, *told))
                samples = {quantity: sample for quantity, sample in found if sample is not None}
                ranks = {quantity: _rank(sample) for quantity, sample in samples.items()}
                corrected = holm_of_known([rank.p for rank in ranks.values()])
                for (quantity, sample), p in zip(samples.items(), corrected, strict=True):
                    head = (target, name, quantity.replace("_", " "))
                    yield (*head, *_cells(sample), *_tests(sample, ranks[quantity], p))

    def remarks(self, report: Report, rows: Sequence[tuple[Cell, ...]]) -> Iterator[str]:
        """Yield the number of tested quantities."""
        yield (
            f"{len({row[2] for row in rows})} quantities were tried for each method; Holm's correction is over the "
            "quantities of one target and method, so a p that is not corrected says little"
        )


def _sample(found: Sequence[Unit], analysed: Analysed, quantity: str) -> Sample | None:
    """Return the trainings with ``quantity``; ``None`` for few settings or a constant quantity."""
    read: Reader = at("counts", TOKENS) if quantity == TOKENS else at("selection", quantity)
    lines: list[tuple[float, float, bool, int]] = []
    for unit in found:
        group = unit.ablated if quantity in HEADROOM else unit.base
        for seed in sorted(unit.hits):
            row = None if group is None else group.rows.get(seed)
            known = {} if row is None else analysed.get(row["ids"]["training"], {})
            value = known.get(quantity, None if row is None else read(row))
            if value is not None:
                lines.append((value, unit.scores[seed], unit.hits[seed], unit.place))
    if len({line[3] for line in lines}) < FEWEST or len({line[0] for line in lines}) < 2:
        return None
    values, scores, hits, setting = zip(*lines, strict=True)
    return Sample(np.array(values), np.array(scores), np.array(hits), np.unique(setting, return_inverse=True)[1])


def _cells(sample: Sample) -> Iterator[Cell]:
    yield int(sample.setting.max()) + 1
    yield len(sample.setting)
    yield int(sample.hits.sum())


def _rank(sample: Sample) -> Tested:
    once, drawn = weights(sample.setting)
    x, y = sample.quantity, sample.score
    return from_resamples(rank_correlation(x, y, once), rank_correlation(x, y, drawn))


def _tests(sample: Sample, rank: Tested, corrected: float | None) -> Iterator[Cell]:
    once, drawn = weights(sample.setting)
    x, hits = sample.quantity, sample.hits
    part = from_resamples(separation(x, hits, once), separation(x, hits, drawn), centre=0.5)
    yield from _interval(rank)
    yield from (p_text(value) or "–" for value in (rank.p, corrected))
    yield from _interval(part)


def _interval(found: Tested) -> tuple[Cell, Cell]:
    if math.isnan(found.value):
        return None, None
    if found.p is None:
        return Estimate(found.value, None, 1), None
    return Estimate(found.value, None, 1), f"{not_zero(found.low, 2)} to {not_zero(found.high, 2)}"
