"""The span of the leading input directions of two sets, from both second moments."""

from __future__ import annotations

import torch
from torch import Tensor

from vitmem.errors import InputError
from vitmem.kfac.spectrum import Eigen

# Smallest residual of a unit vector that counts as outside the span of the others.
DEPENDENT = 1e-8


def shares_before(values: Tensor) -> Tensor:
    """Return the share of the sum of ``values`` (q,), descending and not all zero, before each of them."""
    running = values.cumsum(0) / values.sum()
    return torch.cat([running.new_zeros(1), running[:-1]])


def union(one: Eigen, other: Eigen, *, fraction: float | None = None, mass: float | None = None) -> Tensor:
    """Return an orthonormal basis (q, k) of the span of leading eigenvectors of two second moments (q, q).

    Eigenvectors of both are taken in the order of the cumulative trace share before them, ties first from ``one``; a
    vector already in the span adds nothing. With ``mass`` the fewest of each with this share of their trace are taken;
    with ``fraction`` as many as give k = round(fraction * q) directions, at least one. Raises InputError for a zero
    second moment.
    """
    if not (one.values.any() and other.values.any()):
        raise InputError("all inputs of a set are zero, so no direction can be chosen")
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
        span = basis[:, :count]
        rest = both[:, column] - span @ (span.T @ both[:, column])
        rest = rest - span @ (span.T @ rest)  # a second time, to remove rounding errors
        length = rest.norm()
        if length > DEPENDENT:
            basis[:, count] = rest / length
            count += 1
    return basis[:, :count]


def mixture(one: Tensor, other: Tensor, share: float) -> Tensor:
    """Return ``share`` A_1 / tr A_1 + (1 - ``share``) A_2 / tr A_2 of two non-zero second moments (q, q).

    Raises InputError for a zero one.
    """
    traces = one.trace(), other.trace()
    if not (traces[0] > 0 and traces[1] > 0):
        raise InputError("all inputs or gradients of a set are zero, so they cannot be mixed")
    return share * one.double() / traces[0] + (1 - share) * other.double() / traces[1]
