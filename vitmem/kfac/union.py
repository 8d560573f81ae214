"""Directions that two sets of inputs need together: the span of the leading eigenvectors of both second moments."""

from __future__ import annotations

import torch
from torch import Tensor

from vitmem.errors import InputError
from vitmem.kfac.spectrum import Eigen

# What is left of a vector beside the others, below which it lies among them but for rounding.
DEPENDENT = 1e-8


def shares_before(values: Tensor) -> Tensor:
    """Return the share of the sum of ``values`` (q,), descending and not all zero, that those before each have."""
    running = values.cumsum(0) / values.sum()
    return torch.cat([running.new_zeros(1), running[:-1]])


def union(one: Eigen, other: Eigen, *, fraction: float | None = None, mass: float | None = None) -> Tensor:
    """Return an orthonormal basis (q, k) of the span of leading eigenvectors of two second moments (q, q).

    Eigenvectors of both are taken in the order of the share of their trace that those before them have, of equal ones
    that of ``one`` first, and what lies in the span already adds nothing. With ``mass`` these are the fewest of each
    that have this share of their trace; with ``fraction`` as many as give k = round(fraction * q) directions, at least
    one. Raises InputError for a second moment that is zero.
    """
    if not (one.values.any() and other.values.any()):
        raise InputError("all inputs of a set are zero, so no direction is needed")
    size = len(one.values)
    if 1 in (fraction, mass):
        return one.vectors
    needs = torch.cat([shares_before(one.values), shares_before(other.values)])
    order = torch.argsort(needs, stable=True)
    if mass is not None:
        order = order[needs[order] < mass]
    most = size if fraction is None else max(1, round(fraction * size))
    both = torch.cat([one.vectors, other.vectors], dim=1)
    basis, count = both.new_empty(size, most), 0
    for column in order.tolist():
        if count == most:
            break
        found = basis[:, :count]
        rest = both[:, column] - found @ (found.T @ both[:, column])
        rest = rest - found @ (found.T @ rest)  # once more: the first time leaves what rounding lost
        length = rest.norm()
        if length > DEPENDENT:
            basis[:, count] = rest / length
            count += 1
    return basis[:, :count]


def mixture(one: Tensor, other: Tensor, share: float) -> Tensor:
    """Return ``share`` A_1 / tr A_1 + (1 - ``share``) A_2 / tr A_2 of two second moments (q, q), which are not zero.

    Raises InputError for one that is.
    """
    traces = one.trace(), other.trace()
    if not (traces[0] > 0 and traces[1] > 0):
        raise InputError("all inputs or gradients of a set are zero, so it has nothing to mix")
    return share * one.double() / traces[0] + (1 - share) * other.double() / traces[1]
