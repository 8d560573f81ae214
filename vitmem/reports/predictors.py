"""Whether anything measured on the unedited network tells beforehand that an edit will work on it. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vitmem.reports.aggregate import LEVEL, Estimate, at
from vitmem.reports.analyses import averages
from vitmem.reports.choose import ROUNDING
from vitmem.reports.content import Report
from vitmem.reports.paired import holm_of_known
from vitmem.reports.regime import Outcome, outcomes
from vitmem.reports.render import Cell, Column, Table, not_zero, p_text

# Measures of the base on the selection half, what needs no true label first; of constants nothing can be told.
QUANTITIES = (
    "train_loss", "given_train", "loss_upper_share", "held_out_confidence", "knn_backed", "knn_unbacked",
    "clean_train", "memorized", "recovered", "validation", "gap", "ece", "nll", "auroc_loss",
)  # fmt: skip
RESAMPLES = 1999
# Of fewer resamples no interval of 95 % has an end.
LEAST = 39
# Of fewer settings no rank correlation is computed, and of fewer none is tested.
FEWEST, FEWEST_TESTED = 4, 10
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
    "bootstrap: settings are drawn with replacement, each with all its seeds (1,999 resamples); p: of the same "
    "resamples, twice the share on the other side of 0, so at most 0.05 exactly where the interval leaves out 0; "
    f"of fewer than {FEWEST_TESTED} settings neither is given: their resamples are too much alike",
)


@dataclass(frozen=True)
class Sample:
    """Trainings of one method: a quantity (n,), the relative fall (n,), whether it works (n,), the setting (n,)."""

    quantity: Floats
    fall: Floats
    works: NDArray[np.bool_]
    setting: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Resamples:
    """How often each point is in each resample, ``weights`` (r, n)."""

    weights: Floats
    _below: dict[bytes, Floats] = field(default_factory=dict, init=False)

    def below(self, x: Floats) -> Floats:
        """Return the weight (r, n) of the points with a smaller ``x`` (n,) than each, and half that of equal ones.

        It is kept: one quantity ranks several methods, one method is ranked by many quantities.
        """
        key = x.tobytes()
        if key not in self._below:
            _, place = np.unique(x, return_inverse=True)
            equal = self.weights @ (place[:, None] == np.arange(place.max() + 1))  # (r, values)
            self._below[key] = (np.cumsum(equal, axis=1) - equal / 2)[:, place]
        return self._below[key]


@dataclass(frozen=True)
class Tested:
    """A measure with the ends of its interval and the p that agrees with it, ``None`` where it is not defined."""

    value: float
    low: float
    high: float
    p: float | None


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
        ranks = {q: _rank(sample) for q, sample in samples.items()}
        corrected = holm_of_known([rank.p for rank in ranks.values()])
        for (quantity, sample), p in zip(samples.items(), corrected, strict=True):
            rows.append((name, quantity.replace("_", " "), *_cells(sample), *_tests(sample, ranks[quantity], p)))
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


def _rank(sample: Sample) -> Tested:
    once, drawn = _weights(sample)
    x, y = sample.quantity, sample.fall
    return from_resamples(rank_correlation(x, y, once), rank_correlation(x, y, drawn))


def _weights(sample: Sample) -> tuple[Resamples, Resamples]:
    """Return each training once, (1, n), and as often as each resample has it, (r, n)."""
    settings, trainings = int(sample.setting.max()) + 1, len(sample.setting)
    if settings < FEWEST_TESTED:
        return Resamples(np.ones((1, trainings))), Resamples(np.empty((0, trainings)))
    return Resamples(np.ones((1, trainings))), _drawn(tuple(sample.setting.tolist()))


@lru_cache(maxsize=2)
def _drawn(setting: tuple[int, ...]) -> Resamples:
    """Return the resamples of the settings; most quantities are known of the same ones."""
    return resampled(np.array(setting), RESAMPLES)


def _tests(sample: Sample, rank: Tested, corrected: float | None) -> Iterator[Cell]:
    once, drawn = _weights(sample)
    x, hits = sample.quantity, sample.works
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


def from_resamples(value: Floats, drawn: Floats, centre: float = 0.0) -> Tested:
    """Return a value (1,) with the 95 % percentile interval of its resamples (r,) and their p against ``centre``.

    The ends are resamples, the p counts resamples: it is at most 0.05 exactly where the interval leaves out ``centre``.
    Resamples in which the value is not defined do not count; of too few others there is none of it.
    """
    known = np.sort(drawn[~np.isnan(drawn)])
    if len(known) < LEAST:
        return Tested(float(value[0]), math.nan, math.nan, None)
    place = max(int((1 - LEVEL) / 2 * (len(known) + 1) + ROUNDING) - 1, 0)
    beyond = 1 + min(int((known <= centre).sum()), int((known >= centre).sum()))
    return Tested(float(value[0]), known[place], known[-1 - place], min(1.0, 2 * beyond / (len(known) + 1)))


def resampled(setting: NDArray[np.int64], resamples: int) -> Resamples:
    """Return how often each training (n,) is in each resample of the settings, numbers from 0, (resamples, n)."""
    settings = int(setting.max()) + 1
    drawn = np.random.default_rng(0).multinomial(settings, np.full(settings, 1 / settings), size=resamples)
    return Resamples(drawn[:, setting].astype(np.float64))


def rank_correlation(x: Floats, y: Floats, resamples: Resamples) -> Floats:
    """Return Spearman's correlation of ``x`` (n,) and ``y`` (n,) in each of ``resamples``, (r,).

    Ties share their mean rank; NaN where either is constant.
    """
    weights = resamples.weights
    ranks = [resamples.below(values) for values in (x, y)]  # (r, n) each, up to a constant of the resample
    total = weights.sum(1, keepdims=True)
    centred = [r - (weights * r).sum(1, keepdims=True) / total for r in ranks]
    variances = [(weights * c**2).sum(1) for c in centred]
    product = variances[0] * variances[1]
    return np.divide(
        (weights * centred[0] * centred[1]).sum(1), np.sqrt(product), out=np.full(len(weights), np.nan),
        where=product > 1e-12,
    )  # fmt: skip


def separation(x: Floats, hits: NDArray[np.bool_], resamples: Resamples) -> Floats:
    """Return how often a hit (n,) has a larger ``x`` (n,) than another point, ties by half: the area under the ROC.

    It is found in each of ``resamples``, (r,); NaN where one of the two kinds is missing.
    """
    positive = resamples.weights * hits
    count = positive.sum(1)
    pairs = count * (resamples.weights.sum(1) - count)
    wins = (positive * resamples.below(x)).sum(1) - count**2 / 2  # less those of hits over hits
    return np.divide(wins, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
