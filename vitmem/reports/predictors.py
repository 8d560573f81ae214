"""Whether anything measured on the unedited network tells beforehand that an edit will work on it. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from vitmem.reports.aggregate import Estimate, at
from vitmem.reports.analyses import averages
from vitmem.reports.content import Report
from vitmem.reports.paired import LEVEL, holm
from vitmem.reports.regime import Outcome, outcomes
from vitmem.reports.render import Cell, Column, Table, fixed

# Measures of the base on the selection half, what needs no true label first; of constants nothing can be told.
QUANTITIES = (
    "train_loss", "given_train", "loss_upper_share", "held_out_confidence", "knn_backed", "knn_unbacked",
    "clean_train", "memorized", "recovered", "validation", "gap", "ece", "nll", "auroc_loss",
)  # fmt: skip
RESAMPLES = 2000
# Of fewer settings no rank correlation is computed.
FEWEST = 4
Floats = NDArray[np.float64]
# Quantities by the id of the training
Analysed = Mapping[str, Mapping[str, float]]
COLUMNS = (
    Column("method", "method"),
    Column("quantity", "quantity of the base"),
    Column("settings", "settings", "count"),
    Column("trainings", "trainings", "count"),
    Column("works", "works", "count"),
    Column("spearman", "Spearman", "number"),
    Column("spearman_ends", "95 % bootstrap"),
    Column("p", "p"),
    Column("holm", "Holm p"),
    Column("auroc", "AUROC", "number"),
    Column("auroc_ends", "95 % bootstrap of AUROC"),
)
NOTES = (
    "Spearman: rank correlation, over trainings (setting and seed), of a quantity of the unedited network on the "
    "selection half with the relative fall of memorized on the report half at no loss of selection accuracy, 0 where "
    "no setting of the method qualifies; settings whose base memorizes too little are left out (the gate of regime.md)",
    "works: trainings whose own fall and change of validation meet the rule of regime.md at an allowed loss of 0; "
    "AUROC: how often a training that works has more of the quantity than one that does not (below 0.5: less)",
    "bootstrap: settings are drawn with replacement, each with all its seeds (2,000 resamples); p: of the Spearman "
    "correlation of the means over the seeds, a setting being one observation",
)


@dataclass(frozen=True)
class Sample:
    """Trainings of one method: a quantity (n,), the relative fall (n,), whether it works (n,), the setting (n,)."""

    quantity: Floats
    fall: Floats
    works: NDArray[np.bool_]
    setting: NDArray[np.int64]


def predictors(report: Report) -> Table:
    """Return, for each method and quantity of the base, how well it ranks and separates where the edit works."""
    found, analysed = list(outcomes(report, 0.0)), averages(report.analyses)
    quantities = (*QUANTITIES, *sorted({name for values in analysed.values() for name in values}))
    names = dict.fromkeys(report.names.method(o.first) for o in found)
    rows: list[tuple[Cell, ...]] = []
    tried: set[str] = set()
    for name in names:
        own = [o for o in found if o.judged and report.names.method(o.first) == name]
        samples = {q: s for q in quantities if (s := _sample(own, analysed, q)) is not None}
        tests = [_p(sample) for sample in samples.values()]
        known = iter(holm([p for p in tests if p is not None]))
        for (quantity, sample), p in zip(samples.items(), tests, strict=True):
            corrected = None if p is None else next(known)
            rows.append((name, quantity.replace("_", " "), *_cells(sample), *_tests(sample, p, corrected)))
        tried |= set(samples)
    count = (
        f"{len(tried)} quantities were tried for each method; Holm's correction is over the quantities of one method, "
        "so a p that is not corrected says little"
    )
    return Table(report.about, COLUMNS, tuple(rows), (count, *NOTES), report.footer)


def _sample(found: Sequence[Outcome], analysed: Analysed, quantity: str) -> Sample | None:
    """Return the trainings that have ``quantity``; ``None`` for few settings or where it is the same in all."""
    read = at("selection", quantity)
    lines: list[tuple[float, float, bool, int]] = []
    for place, outcome in enumerate(found):
        falls, changes = outcome.falls, outcome.changes
        for seed in sorted(falls.keys() & changes.keys()):
            row = outcome.base.rows[seed]
            value = analysed.get(str(row.get("ids", {}).get("training")), {}).get(quantity, read(row))
            if value is not None:
                lines.append((value, falls[seed], outcome.works(falls[seed], changes[seed]), place))
    if len({line[3] for line in lines}) < FEWEST or len({line[0] for line in lines}) < 2:
        return None
    values, fall, works, setting = zip(*lines, strict=True)
    return Sample(np.array(values), np.array(fall), np.array(works), np.unique(setting, return_inverse=True)[1])


def _cells(sample: Sample) -> Iterator[Cell]:
    yield int(sample.setting.max()) + 1
    yield len(sample.setting)
    yield int(sample.works.sum())


def _tests(sample: Sample, p: float | None, corrected: float | None) -> Iterator[Cell]:
    once, drawn = np.ones((1, len(sample.setting))), resampled(sample.setting, RESAMPLES)
    rank = [rank_correlation(sample.quantity, sample.fall, weights) for weights in (once, drawn)]
    part = [separation(sample.quantity, sample.works, weights) for weights in (once, drawn)]
    yield from _interval(*rank)
    yield from ("–" if value is None else f"{value:.2g}" for value in (p, corrected))
    yield from _interval(*part)


def _interval(value: Floats, drawn: Floats) -> tuple[Cell, Cell]:
    """Return a value (1,) and the ends of the interval of its resamples (r,), those where it is defined."""
    if math.isnan(value[0]):
        return None, None
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(value[0]), None, 1), f"{fixed(low, 2)} to {fixed(high, 2)}"


def _p(sample: Sample) -> float | None:
    """Return the p of the rank correlation of the means over the seeds, ``None`` when either is constant."""
    means = [
        np.bincount(sample.setting, values) / np.bincount(sample.setting) for values in (sample.quantity, sample.fall)
    ]
    return None if any(np.ptp(m) == 0 for m in means) else float(spearmanr(*means).pvalue)


def resampled(setting: NDArray[np.int64], resamples: int) -> Floats:
    """Return how often each training (n,) is in each resample of the settings, numbers from 0, (resamples, n)."""
    settings = int(setting.max()) + 1
    drawn = np.random.default_rng(0).multinomial(settings, np.full(settings, 1 / settings), size=resamples)
    return drawn[:, setting].astype(np.float64)


def rank_correlation(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Return Spearman's correlation of ``x`` (n,) and ``y`` (n,), each point as often as ``weights`` (r, n) say, (r,).

    Ties share their mean rank; NaN where either is constant.
    """
    ranks = [weights @ _below(values).T for values in (x, y)]  # (r, n) each, up to a constant of the resample
    total = weights.sum(1, keepdims=True)
    centred = [r - (weights * r).sum(1, keepdims=True) / total for r in ranks]
    variances = [(weights * c**2).sum(1) for c in centred]
    product = variances[0] * variances[1]
    return np.divide(
        (weights * centred[0] * centred[1]).sum(1), np.sqrt(product), out=np.full(len(weights), np.nan),
        where=product > 1e-12,
    )  # fmt: skip


def separation(x: Floats, hits: NDArray[np.bool_], weights: Floats) -> Floats:
    """Return how often a hit (n,) has a larger ``x`` (n,) than another point, ties by half: the area under the ROC.

    Each point counts as often as ``weights`` (r, n) say, (r,); NaN where one of the two kinds is missing.
    """
    positive, negative = weights * hits, weights * ~hits
    pairs = positive.sum(1) * negative.sum(1)
    wins = ((positive @ _below(x)) * negative).sum(1)
    return np.divide(wins, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)


def _below(x: Floats) -> Floats:
    """Return 1 where x_j < x_i and a half where they are equal, (n, n)."""
    return (x[None] < x[:, None]) + 0.5 * (x[None] == x[:, None])
