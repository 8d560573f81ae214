"""Rank correlation and separation of points grouped by setting, with a bootstrap over the settings. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vitmem.reports.aggregate import LEVEL
from vitmem.reports.choose import ROUNDING

RESAMPLES = 1999
# Smallest number of resamples for a 95 % interval, and of settings for a test: fewer settings have similar resamples.
LEAST, FEWEST_TESTED = 39, 10
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Resamples:
    """The counts of each point in each resample, ``weights`` (r, n)."""

    weights: Floats
    _below: dict[bytes, Floats] = field(default_factory=dict, init=False)

    def below(self, x: Floats) -> Floats:
        """Return the weight (r, n) of points with a smaller ``x`` (n,) than each, plus half the weight of equal ones.

        The result is cached, since several methods share a quantity and several quantities share a method.
        """
        key = x.tobytes()
        if key not in self._below:
            _, place = np.unique(x, return_inverse=True)
            equal = self.weights @ (place[:, None] == np.arange(place.max() + 1))  # (r, values)
            self._below[key] = (np.cumsum(equal, axis=1) - equal / 2)[:, place]
        return self._below[key]


@dataclass(frozen=True)
class Tested:
    """A measure with the ends of its interval and a consistent p, ``None`` if undefined."""

    value: float
    low: float
    high: float
    p: float | None


def weights(setting: NDArray[np.int64]) -> tuple[Resamples, Resamples]:
    """Return the weights of the points, one each (1, n), and of the resamples (r, n), empty for few settings.

    ``setting`` (n,) has the number of each point's setting, from 0.
    """
    once = Resamples(np.ones((1, len(setting))))
    if int(setting.max()) + 1 < FEWEST_TESTED:
        return once, Resamples(np.empty((0, len(setting))))
    return once, _drawn(tuple(setting.tolist()))


@lru_cache(maxsize=4)
def _drawn(setting: tuple[int, ...]) -> Resamples:
    """Return the resamples of the settings, cached since most quantities share their settings."""
    return resampled(np.array(setting), RESAMPLES)


def from_resamples(value: Floats, drawn: Floats, centre: float = 0.0) -> Tested:
    """Return a value (1,) with the 95 % percentile interval of its resamples (r,) and their p against ``centre``.

    The ends are resamples, and p counts resamples: it is at most 0.05 exactly if the interval excludes ``centre``.
    Resamples with an undefined value are ignored; with too few others there is neither interval nor p.
    """
    known = np.sort(drawn[~np.isnan(drawn)])
    if len(known) < LEAST:
        return Tested(float(value[0]), math.nan, math.nan, None)
    place = max(int((1 - LEVEL) / 2 * (len(known) + 1) + ROUNDING) - 1, 0)
    beyond = 1 + min(int((known <= centre).sum()), int((known >= centre).sum()))
    return Tested(float(value[0]), known[place], known[-1 - place], min(1.0, 2 * beyond / (len(known) + 1)))


def resampled(setting: NDArray[np.int64], resamples: int) -> Resamples:
    """Return the counts (resamples, n) of each training in each resample of the settings (n,), numbers from 0."""
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
    """Return the area under the ROC curve of ``x`` (n,) for hits (n,), ties counted half.

    One value for each of ``resamples``, (r,); NaN without a hit or without another point.
    """
    positive = resamples.weights * hits
    count = positive.sum(1)
    pairs = count * (resamples.weights.sum(1) - count)
    wins = (positive * resamples.below(x)).sum(1) - count**2 / 2  # minus pairs of two hits
    return np.divide(wins, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
