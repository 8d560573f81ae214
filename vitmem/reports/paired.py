"""Two methods on the same items: McNemar's test, a bootstrap over seeds and items, Holm's correction. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit
from scipy.stats import binomtest

from vitmem.errors import InputError
from vitmem.outcomes import unpacked
from vitmem.reports.aggregate import Estimate, Group, estimate
from vitmem.rows import Row

RESAMPLES, LEVEL, POWER = 4000, 0.95, 0.8
Hits = NDArray[np.bool_]


@dataclass(frozen=True)
class Comparison:
    """One method less another in the share of items that have an outcome, seed by seed on the same items.

    ``difference`` is the mean over the seeds with its t interval; ``low`` and ``high`` are the ends of the bootstrap's
    interval; ``only`` and ``only_other`` count the items, over all seeds, that have the outcome under one method
    alone; ``p`` is McNemar's exact two-sided test on these two counts; ``detectable`` is the smallest difference that
    a t test over as many seeds, as spread as these, finds with a power of 0.8 (``None`` for one seed).
    """

    difference: Estimate
    low: float
    high: float
    only: int
    only_other: int
    p: float
    detectable: float | None


def compare(group: Group, other: Group, outcome: str) -> Comparison | None:
    """Return ``group`` against ``other`` in ``outcome``, ``None`` when no seed has it in both.

    Raises InputError when the two rows of a seed were measured on different numbers of items.
    """
    pairs = [
        _hits(group.rows[seed], other.rows[seed], outcome)
        for seed in group.rows
        if seed in other.rows and all(outcome in g.rows[seed].get("outcomes", {}) for g in (group, other))
    ]
    if not pairs:
        return None
    changes = [float(one.mean() - two.mean()) for one, two in pairs]
    only = sum(int((one & ~two).sum()) for one, two in pairs)
    only_other = sum(int((two & ~one).sum()) for one, two in pairs)
    mean = estimate(changes)
    assert mean is not None
    low, high = interval(pairs)
    return Comparison(mean, low, high, only, only_other, mcnemar(only, only_other), detectable(mean))


def _hits(row: Row, other: Row, outcome: str) -> tuple[Hits, Hits]:
    one, two = unpacked(row["outcomes"][outcome]), unpacked(other["outcomes"][outcome])
    if len(one) != len(two) or len(one) == 0:
        raise InputError(
            f"rows {row['id']} and {other['id']}: expected '{outcome}' of the same items, got {len(one)} and {len(two)}"
        )
    return one, two


def mcnemar(only: int, only_other: int) -> float:
    """Return the exact two-sided p of so many items that changed one way and the other (McNemar 1947)."""
    return float(binomtest(only, only + only_other, 0.5).pvalue) if only + only_other else 1.0


def interval(pairs: Sequence[tuple[Hits, Hits]], resamples: int = RESAMPLES) -> tuple[float, float]:
    """Return the ends of the bootstrap interval of the mean difference over seeds, from hits (n,) by seed.

    Seeds are drawn with replacement, then items within each (Davison and Hinkley 1997, section 3.8): items of one
    seed share a network. Of n items only the numbers that changed either way matter, so these are drawn.
    """
    rng = np.random.default_rng(0)
    shares = np.array([[(a & ~b).mean(), (b & ~a).mean(), (a == b).mean()] for a, b in pairs])  # (seeds, 3)
    counts = np.array([len(a) for a, _ in pairs])
    total = np.zeros(resamples)
    for _ in pairs:
        seed = rng.integers(len(pairs), size=resamples)
        drawn = rng.multinomial(counts[seed], shares[seed])  # (resamples, 3)
        total += (drawn[:, 0] - drawn[:, 1]) / counts[seed]
    low, high = np.quantile(total / len(pairs), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def detectable(difference: Estimate) -> float | None:
    """Return the smallest true difference that is found with a power of 0.8 at 5 %, from the spread over the seeds."""
    if difference.half is None:
        return None
    freedom = difference.n - 1
    error = difference.half / float(stdtrit(freedom, (1 + LEVEL) / 2))
    return error * float(stdtrit(freedom, (1 + LEVEL) / 2) + stdtrit(freedom, POWER))


def holm(values: Sequence[float]) -> list[float]:
    """Return p values corrected for being several (Holm 1979), in the order given."""
    out, largest = [math.nan] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        out[place] = largest
    return out
