"""Two methods on the same items: one test, clustered by seed, with the interval that agrees with it. No torch.

Items of one seed share a network, so with three seeds or more a seed is one observation: the difference in the share of
items is tested by a paired t test over the seeds. Of one seed there are the items alone: McNemar's exact test, which
speaks of that network. Of two seeds nothing is tested. The interval is always that of the test, so that it leaves out 0
exactly where p is at most 0.05.
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
    """One method less another in the share of items that have an outcome, seed by seed on the same items.

    ``difference`` is the mean over the seeds; ``p`` and ``ends`` are the two-sided test and its 95 % interval: over the
    seeds, over the items of a single one, ``None`` for two; ``only`` and ``only_other`` count the items, over all
    seeds, that have the outcome under one method alone; ``detectable`` is the smallest difference that a t test over as
    many seeds, as spread as these, finds with a power of 0.8 (``None`` for one seed).
    """

    difference: Estimate
    ends: Ends | None
    p: float | None
    only: int
    only_other: int
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
    counts = [(int((one & ~two).sum()), int((two & ~one).sum()), len(one)) for one, two in pairs]
    # counts are subtracted before anything is divided: what is equal gives 0, not a rounding error
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
    """Return the exact two-sided p of so many items that changed one way and the other (McNemar 1947)."""
    return float(contingency_tables.mcnemar([[0, only], [only_other, 0]], exact=True).pvalue)


def mcnemar_interval(only: int, only_other: int, items: int) -> Ends:
    """Return the ends of the interval of the difference in the share of ``items`` that agrees with ``mcnemar``.

    Clopper and Pearson's of the share of changed items that changed the first way, their number taken as it is.
    """
    changed = only + only_other
    if not changed:
        return 0.0, 0.0
    low, high = proportion.proportion_confint(only, changed, 1 - LEVEL, method="beta")
    return float(2 * low - 1) * changed / items, float(2 * high - 1) * changed / items


def t_test(difference: Estimate) -> float | None:
    """Return the two-sided p of a mean over the seeds against 0, ``None`` where it has no interval."""
    if difference.half is None:
        return None
    if difference.half == 0:  # the same in every seed
        return float(difference.mean == 0)
    freedom = difference.n - 1
    return 2 * float(stdtr(freedom, -abs(difference.mean) / difference.half * t_quantile(freedom)))


def t_interval(difference: Estimate) -> Ends | None:
    """Return the ends of the 95 % interval of a mean over the seeds, ``None`` where there is none."""
    half = difference.half
    return None if half is None else (difference.mean - half, difference.mean + half)


def detectable(difference: Estimate) -> float | None:
    """Return the smallest true difference that is found with a power of 0.8 at 5 %, from the spread over the seeds."""
    if difference.pair is not None:
        low, high = difference.pair
        return _shift(2) * (high - low) / 2
    if difference.half is None:
        return None
    return _shift(difference.n) * difference.half / t_quantile(difference.n - 1)


@cache
def _shift(seeds: int) -> float:
    """Return how many standard errors a difference must have to be found with a power of 0.8."""
    found = TTestPower().solve_power(nobs=seeds, alpha=SIGNIFICANT, power=POWER)
    return float(found) * math.sqrt(seeds)


def holm(values: Sequence[float]) -> list[float]:
    """Return p values corrected for being several (Holm 1979), in the order given.

    statsmodels' ``multipletests`` collects garbage at every call, which takes a tenth of a second beside many rows.
    """
    order = np.argsort(values, kind="stable")
    out = np.empty(len(values))
    out[order] = np.maximum.accumulate(np.minimum(1.0, np.arange(len(values), 0, -1) * np.asarray(values)[order]))
    return out.tolist()


def holm_of_known(values: Sequence[float | None]) -> list[float | None]:
    """Return ``holm`` of the values that are there, in the order given."""
    corrected = iter(holm([p for p in values if p is not None]))
    return [None if p is None else next(corrected) for p in values]
