"""Selection of the pairs to keep, without sorting them.

With both importances descending the kept set of Π_ij = rows_i * columns_j is a staircase: row i keeps its first J_i
columns. The threshold is found by bisection over the bit patterns of floats, with binary searches along the longer
side, O(min(p, q) log max(p, q)) per step and O(p + q) memory: first on rounded quotients, then on the products where
rounding could matter. Pairs equal to the threshold are taken in the order (i, j) until the target is met, so the set
is that of a full sort by (Π descending, i, j).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitmem.errors import InputError

NOTHING = "importances: all are zero, so pairs cannot be ranked; is the model trained?"
Values = NDArray[np.float64]
Counts = NDArray[np.int64]
Reached = Callable[[Counts], float]


def staircase_by_mass(rows: Tensor, columns: Tensor, mass: float) -> Tensor:
    """Return J (p,) int64 of the smallest set, largest pairs first, with the share ``mass`` of the total.

    ``rows`` (p,) and ``columns`` (q,) are descending and >= 0; ``mass`` is in (0, 1], 1 keeps every pair.
    """
    lam, mu = _checked(rows, columns, mass, "mass")
    if mass == 1:
        return torch.full((len(lam),), len(mu))
    return _staircase(lam, mu, _mass, mass * float(lam.sum() * mu.sum()))


def staircase_by_fraction(rows: Tensor, columns: Tensor, fraction: float) -> Tensor:
    """Return J (p,) int64 of the round(fraction * p * q) largest pairs, at least one."""
    lam, mu = _checked(rows, columns, fraction, "fraction")
    count = max(1, round(fraction * (len(lam) * len(mu))))  # same evaluation order as for a table of all pairs
    return _staircase(lam, mu, _count, float(count))


def largest_by_mass(table: Tensor, mass: float) -> Tensor:
    """Return the mask (p, q) of the smallest set, largest pairs first, with the share ``mass`` of the sum of ``table``.

    ``table`` (p, q) has arbitrary numbers >= 0, which are sorted. Equal ones are taken in the order (i, j). ``mass`` is
    in (0, 1], 1 keeps every pair.
    """
    values, order = _sorted(table, mass, "mass")
    running = values.cumsum(0)
    kept = int(torch.searchsorted(running, mass * running[-1])) + 1 if mass < 1 else len(values)
    return _first(order, kept, table)


def largest_by_fraction(table: Tensor, fraction: float) -> Tensor:
    """Return the mask (p, q) of the round(fraction * p * q) largest of ``table`` (p, q), at least one."""
    values, order = _sorted(table, fraction, "fraction")
    return _first(order, max(1, round(fraction * len(values))), table)


def matched_fraction(
    evaluate: Callable[[float], float], floor: float, *, smallest: float = 1e-4, steps: int = 8
) -> float:
    """Return the smallest fraction, by bisection, at which ``evaluate`` is >= ``floor``, 1 (no edit) if there is none.

    The bisection is in log(f / (1 - f)), to resolve fractions near 0 and near 1 alike. ``evaluate`` is assumed to
    increase with the fraction; where it does not, the result still meets the floor.
    """
    if evaluate(smallest) >= floor:
        return smallest
    low, high, best = math.log(smallest / (1 - smallest)), math.log((1 - smallest) / smallest), 1.0
    for _ in range(steps):
        middle = (low + high) / 2
        fraction = 1 / (1 + math.exp(-middle))
        if evaluate(fraction) >= floor:
            high, best = middle, fraction
        else:
            low = middle
    return best


def mask_of(staircase: Tensor, columns: int) -> Tensor:
    """Return the 0/1 mask (p, q) bool of a staircase J (p,)."""
    return torch.arange(columns)[None, :] < staircase[:, None]


def _sorted(table: Tensor, share: float, name: str) -> tuple[Tensor, Tensor]:
    """Return the values (p * q,) of ``table`` (p, q) descending, and their indices; equal values keep their order."""
    _check_share(share, name)
    if not torch.isfinite(table).all() or (table < 0).any():
        raise InputError("importances: expected finite numbers >= 0")
    if not table.any():
        raise InputError(NOTHING)
    return table.detach().cpu().double().flatten().sort(descending=True, stable=True)


def _first(order: Tensor, kept: int, table: Tensor) -> Tensor:
    """Return the mask, shaped like ``table`` (p, q), of the first ``kept`` indices of ``order`` (p * q,)."""
    mask = torch.zeros(table.numel(), dtype=torch.bool)
    mask[order[:kept]] = True
    return mask.reshape(table.shape)


def _check_share(share: float, name: str) -> None:
    if not 0 < share <= 1:
        raise InputError(f"{name}: expected a number in (0, 1], got {share}")


def _checked(rows: Tensor, columns: Tensor, share: float, name: str) -> tuple[Values, Values]:
    _check_share(share, name)
    lam, mu = (v.detach().cpu().double().numpy() for v in (rows, columns))
    for values in (lam, mu):
        if not np.isfinite(values).all() or (values < 0).any() or (np.diff(values) > 0).any():
            raise InputError("importances: expected finite numbers >= 0 in descending order")
    if not (lam.any() and mu.any()):
        raise InputError(NOTHING)
    return lam, mu


def _mass(lam: Values, mu: Values) -> Reached:
    running = np.concatenate([[0.0], np.cumsum(mu)])  # (q + 1,)
    return lambda counts: float(lam @ running[counts])


def _count(lam: Values, mu: Values) -> Reached:
    return lambda counts: float(counts.sum())


def _staircase(lam: Values, mu: Values, rule: Callable[[Values, Values], Reached], target: float) -> Tensor:
    """Return the staircase of the smallest set whose mass or count (``rule``) meets ``target``."""
    short, long = (lam, mu) if len(lam) <= len(mu) else (mu, lam)
    low = _threshold(short, long, rule, target)
    tau = _float(low)
    above, with_ties = _counts(lam, mu, _float(low + 1)), _counts(lam, mu, tau)
    ties = with_ties - above
    step = tau if rule is _mass else 1.0
    missing = math.ceil((target - rule(lam, mu)(above)) / step) if step > 0 else int(ties.sum())
    before = np.cumsum(ties) - ties
    return torch.from_numpy(above + np.clip(missing - before, 0, ties))


def _threshold(short: Values, long: Values, rule: Callable[[Values, Values], Reached], target: float) -> int:
    """Return the bits of the largest tau for which the pairs >= tau meet ``target``."""
    # Floats >= 0 are ordered like their bit patterns, so a bisection takes at most 63 steps.
    reached = rule(short, long)
    top = int(np.float64(short[0] * long[0]).view(np.int64)) + 1
    guess = _bisect(0, top, lambda bits: reached(_rounded_counts(short, long, _float(bits))) >= target)

    def meets(bits: int) -> bool:
        return reached(_counts(short, long, _float(bits))) >= target

    width = 64
    while guess - width > 0 and not meets(guess - width):
        width *= 64
    low = max(guess - width, 0)
    while guess + width < top and meets(guess + width):
        low, width = guess + width, width * 64
    return _bisect(low, min(guess + width, top), meets)


def _bisect(low: int, high: int, meets: Callable[[int], bool]) -> int:
    """Return the last number below ``high`` that ``meets``; ``low`` does, ``high`` does not."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if meets(middle) else (low, middle)
    return low


def _rounded_counts(lam: Values, mu: Values, tau: float) -> Counts:
    """Return the approximate number of columns with lam_i * mu_j >= tau in every row, from rounded quotients."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = np.where(lam > 0, tau / lam, np.inf if tau > 0 else 0.0)
    return len(mu) - np.searchsorted(mu[::-1], quotient, side="left")


def _float(bits: int) -> float:
    return float(np.int64(bits).view(np.float64))


def _counts(lam: Values, mu: Values, tau: float) -> Counts:
    """Return for every row the number of columns with lam_i * mu_j >= tau, by binary search on the products."""
    low = np.zeros(len(lam), np.int64)
    high = np.full(len(lam), len(mu), np.int64)
    for _ in range(len(mu).bit_length()):
        middle = (low + high) // 2
        inside = lam * mu[np.minimum(middle, len(mu) - 1)] >= tau
        open_ = low < high
        low = np.where(open_ & inside, middle + 1, low)
        high = np.where(open_ & ~inside, middle, high)
    return low
