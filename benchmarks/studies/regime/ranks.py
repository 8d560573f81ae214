"""Rank correlation and separation of points that come in settings, with a bootstrap over the settings. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vitmem.reports.aggregate import LEVEL
from vitmem.reports.choose import ROUNDING

RESAMPLES = 1999
# Of fewer resamples no interval of 95 % has an end, of fewer settings nothing is tested: their resamples are alike.
LEAST, FEWEST_TESTED = 39, 10
Floats = NDArray[np.float64]


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


def weights(setting: NDArray[np.int64]) -> tuple[Resamples, Resamples]:
    """Return each point once, (1, n), and as often as each resample has it, (r, n); none of few settings.

    ``setting`` (n,) is the setting of each point, numbers from 0.
    """
    once = Resamples(np.ones((1, len(setting))))
    if int(setting.max()) + 1 < FEWEST_TESTED:
        return once, Resamples(np.empty((0, len(setting))))
    return once, _drawn(tuple(setting.tolist()))


@lru_cache(maxsize=4)
def _drawn(setting: tuple[int, ...]) -> Resamples:
    """Return the resamples of the settings; most quantities are known of the same ones."""
    return resampled(np.array(setting), RESAMPLES)


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
