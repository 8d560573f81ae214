"""Paired test of two methods on the same items, clustered by seed, with a consistent interval. Does not import torch.

Items of one seed share a network, so with three seeds or more a seed is one observation: the difference in the share of
items is tested by a paired t test over the seeds. With one seed only the items remain: McNemar's exact test, valid for
that network. Two seeds are not tested. The interval always belongs to the test, so it excludes 0 exactly when p is at
most 0.05.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr
from statsmodels.stats import contingency_tables, proportion
from statsmodels.stats.power import TTestPower

from vitmem.errors import InputError
from vitmem.outcomes import unpacked
from vitmem.reports.aggregate import LEVEL, Estimate, Group, estimate, t_quantile
from vitmem.rows import Row

SIGNIFICANT, POWER = 0.05, 0.8
Hits = NDArray[np.bool_]
Ends = tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """Difference of two methods in the share of items with an outcome, seed by seed on the same items.

    ``difference`` is the mean over the seeds; ``p`` and ``ends`` are the two-sided test and its 95 % interval: over the
    seeds, over the items of a single one, ``None`` for two. ``only`` and ``only_other`` count the items, over all
    seeds, with the outcome under one method only; ``detectable`` is the smallest difference that a t test over as many
    seeds with the same spread detects with a power of 0.8 (``None`` for one seed).
    """

    difference: Estimate
    ends: Ends | None
    p: float | None
    only: int
    only_other: int
    detectable: float | None


def compare(group: Group, other: Group, outcome: str) -> Comparison | None:
    """Compare ``group`` with ``other`` in ``outcome``; ``None`` when no seed has it in both.

    Raises InputError when the two rows of a seed were measured on different numbers of items.
    """
    pairs = [
        _hits(group.rows[seed], other.rows[seed], outcome)
        for seed in group.rows
        if seed in other.rows and all(outcome in g.rows[seed].get("outcomes", {}) for g in (group, other))
    ]
    counts = [(int((one & ~two).sum()), int((two & ~one).sum()), len(one)) for one, two in pairs]
    # subtract counts before dividing, so that equal shares give exactly 0
    mean = estimate([(first - second) / items for first, second, items in counts])
    if mean is None:
        return None
    only, only_other = (sum(count[n] for count in counts) for n in (0, 1))
    ends = mcnemar_interval(*counts[0]) if mean.n == 1 else t_interval(mean)
    p = mcnemar(only, only_other) if mean.n == 1 else t_test(mean)
    return Comparison(mean, ends, p, only, only_other, detectable(mean))


def _hits(row: Row, other: Row, outcome: str) -> tuple[Hits, Hits]:
    one, two = unpacked(row["outcomes"][outcome]), unpacked(other["outcomes"][outcome])
    if len(one) != len(two) or len(one) == 0:
        raise InputError(
            f"rows {row['id']} and {other['id']}: expected '{outcome}' of the same items, got {len(one)} and {len(two)}"
        )
    return one, two


def mcnemar(only: int, only_other: int) -> float:
    """Return the exact two-sided p for the numbers of items that changed in each direction (McNemar 1947)."""
    return float(contingency_tables.mcnemar([[0, only], [only_other, 0]], exact=True).pvalue)


def mcnemar_interval(only: int, only_other: int, items: int) -> Ends:
    """Return the ends of the interval of the difference in the share of ``items``, consistent with ``mcnemar``.

    The Clopper-Pearson interval of the first direction's share of the changed items, given their number.
    """
    changed = only + only_other
    if not changed:
        return 0.0, 0.0
    low, high = proportion.proportion_confint(only, changed, 1 - LEVEL, method="beta")
    return float(2 * low - 1) * changed / items, float(2 * high - 1) * changed / items


def t_test(difference: Estimate) -> float | None:
    """Return the two-sided p of a mean over the seeds against 0, ``None`` without an interval."""
    if difference.half is None:
        return None
    if difference.half == 0:  # the same in every seed
        return float(difference.mean == 0)
    freedom = difference.n - 1
    return 2 * float(stdtr(freedom, -abs(difference.mean) / difference.half * t_quantile(freedom)))


def t_interval(difference: Estimate) -> Ends | None:
    """Return the ends of the 95 % interval of a mean over the seeds, ``None`` without one."""
    half = difference.half
    return None if half is None else (difference.mean - half, difference.mean + half)


def detectable(difference: Estimate) -> float | None:
    """Return the smallest true difference detected with a power of 0.8 at 5 %, from the spread over the seeds."""
    if difference.pair is not None:
        low, high = difference.pair
        return _shift(2) * (high - low) / 2
    if difference.half is None:
        return None
    return _shift(difference.n) * difference.half / t_quantile(difference.n - 1)


@cache
def _shift(seeds: int) -> float:
    """Return the difference in standard errors that is detected with a power of 0.8."""
    shift = TTestPower().solve_power(nobs=seeds, alpha=SIGNIFICANT, power=POWER)
    return float(shift) * math.sqrt(seeds)


def holm(values: Sequence[float]) -> list[float]:
    """Return p values corrected for multiple tests (Holm 1979), in the given order.

    statsmodels' ``multipletests`` runs the garbage collector at every call, a tenth of a second with many rows.
    """
    order = np.argsort(values, kind="stable")
    out = np.empty(len(values))
    out[order] = np.maximum.accumulate(np.minimum(1.0, np.arange(len(values), 0, -1) * np.asarray(values)[order]))
    return out.tolist()


def holm_of_known(values: Sequence[float | None]) -> list[float | None]:
    """Return ``holm`` of the known values, in the given order."""
    corrected = iter(holm([p for p in values if p is not None]))
    return [None if p is None else next(corrected) for p in values]
