"""Importance of pairs of directions: two bases and Π_ij = rows_i * columns_j, or a table of all pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor

from vitmem.errors import InputError
from vitmem.kfac.factors import LayerFactors
from vitmem.kfac.selection import (
    largest_by_fraction,
    largest_by_mass,
    mask_of,
    staircase_by_fraction,
    staircase_by_mass,
)

Importance = Literal["kfac", "centered", "ckfac", "tkfac", "foof", "identity", "ekfac"]
Side = Literal["both", "A", "G"]
Asked = TypeVar("Asked")


@dataclass(frozen=True)
class Basis:
    """n orthonormal directions: the columns of ``vectors`` (n, n), or the axes in ``order`` (n,)."""

    vectors: Tensor | None = None
    order: Tensor | None = None

    def into(self, matrix: Tensor) -> Tensor:
        """Return the coordinates Uᵀ M of ``matrix`` M (n, m)."""
        return self.vectors.T @ matrix if self.vectors is not None else matrix[self.order]

    def back(self, coordinates: Tensor) -> Tensor:
        """Return U C for ``coordinates`` C (n, m)."""
        if self.vectors is not None:
            return self.vectors @ coordinates
        assert self.order is not None
        return torch.empty_like(coordinates).index_copy_(0, self.order, coordinates)


@dataclass(frozen=True)
class Pairs:
    """The bases of the output (p) and input (q) side with their importances, both descending, float64.

    ``table`` (p, q) is Π where it is not a product; ``rows`` and ``columns`` are then its sums, unordered.
    """

    output: Basis
    input: Basis
    rows: Tensor
    columns: Tensor
    table: Tensor | None = None

    def by_mass(self, mass: float) -> Tensor:
        """Return the mask (p, q) of the smallest set of pairs, largest first, with the share ``mass`` of the total."""
        if self.table is not None:
            return largest_by_mass(self.table, mass)
        return mask_of(staircase_by_mass(self.rows, self.columns, mass), len(self.columns))

    def by_fraction(self, fraction: float) -> Tensor:
        """Return the mask (p, q) of the round(fraction * p * q) largest pairs, at least one."""
        if self.table is not None:
            return largest_by_fraction(self.table, fraction)
        return mask_of(staircase_by_fraction(self.rows, self.columns, fraction), len(self.columns))

    def mass_of(self, mask: Tensor) -> float:
        """Return the share of the importance in a ``mask`` (p, q)."""
        if self.table is not None:
            return float(self.table[mask].sum() / self.table.sum())
        return float(self.rows @ (mask.double() @ self.columns) / (self.rows.sum() * self.columns.sum()))


def pairs(factors: LayerFactors, importance: Importance = "kfac", side: Side = "both") -> Pairs:
    """Return bases and importances of one layer (method.md, section 2).

    ``kfac``: eigenvectors of G and A with their eigenvalues. ``centered``: the covariance of the inputs instead of A,
    preceded by the direction of their mean. ``ckfac``: the vectors of ``kfac`` with the coupled moments u_iᵀ G̃ u_i and
    v_jᵀ Ã v_j / T. ``tkfac``: eigenvectors of G̃ and Ã with their eigenvalues, over T (Gao et al. 2021); with one row
    per example the order is that of Shampoo's factors E ∇W ∇Wᵀ and E ∇Wᵀ ∇W (Gupta et al. 2018). ``foof``: the axes of
    the output, and A with its eigenvalues, without gradients (Benzing 2022). ``identity``: the axes with diag G̃ and
    diag Ã / T. ``ekfac``: the vectors of ``kfac`` with the moments of every pair from a second pass (George et al.
    2018). ``side`` uses the importance of one side only (of a table, its sums). Raises InputError when the moments were
    not collected, and for the output side of ``foof``.
    """
    (output, rows), (inner, columns) = _sides(factors, importance)
    if importance == "foof" and side == "G":
        raise InputError("importance 'foof' uses the input side only; give side 'both' or 'A'")
    if importance == "ekfac" and side == "both":
        return Pairs(output, inner, rows, columns, factors.pairs)
    if importance in ("ckfac", "tkfac", "identity") and factors.trace:
        columns = columns / factors.trace
    return ranked(output, rows, inner, columns, side)


def ranked(output: Basis, rows: Tensor, inner: Basis, columns: Tensor, side: Side = "both") -> Pairs:
    """Return the pairs of two bases with importances ``rows`` (p,) and ``columns`` (q,); ``side`` uses one of them."""
    if side == "A":
        rows = torch.ones_like(rows)
    elif side == "G":
        columns = torch.ones_like(columns)
    output, rows = _sorted(output, rows)
    inner, columns = _sorted(inner, columns)
    return Pairs(output, inner, rows, columns)


def _sides(factors: LayerFactors, importance: Importance) -> tuple[tuple[Basis, Tensor], tuple[Basis, Tensor]]:
    """Return the basis and the importances of the output side (p,) and of the input side (q,)."""
    if importance == "identity":
        return _axes(_asked(factors.g_diagonal, "diagonal")), _axes(_asked(factors.a_diagonal, "diagonal"))
    if importance == "tkfac":
        g, a = _asked(factors.eigen_g_coupled, "coupled"), _asked(factors.eigen_a_coupled, "coupled")
        return (Basis(vectors=g.vectors), g.values), (Basis(vectors=a.vectors), a.values)
    if importance == "ekfac":
        table = _asked(factors.pairs, "eigen")
        return (Basis(vectors=factors.g_vectors), table.sum(1)), (Basis(vectors=factors.a_vectors), table.sum(0))
    if importance == "centered":
        g, a = factors.eigen_g, _asked(factors.eigen_a_centered, "mean")
        return (Basis(vectors=g.vectors), g.values), (Basis(vectors=a.vectors), a.values)
    inner = Basis(vectors=factors.eigen_a.vectors)
    if importance == "foof":
        return _axes(torch.ones(len(factors.g), dtype=torch.float64)), (inner, factors.eigen_a.values)
    output = Basis(vectors=factors.eigen_g.vectors)
    if importance == "kfac":
        return (output, factors.eigen_g.values), (inner, factors.eigen_a.values)
    rows = quadratic(_asked(factors.g_coupled, "coupled"), factors.eigen_g.vectors)
    return (output, rows), (inner, quadratic(_asked(factors.a_coupled, "coupled"), factors.eigen_a.vectors))


def _axes(values: Tensor) -> tuple[Basis, Tensor]:
    """Return the axes, sorted by the given importances (n,)."""
    return Basis(order=torch.arange(len(values))), values


def _sorted(basis: Basis, values: Tensor) -> tuple[Basis, Tensor]:
    """Return basis and values sorted by descending value; equal values keep their order."""
    values, order = values.clamp_min(0).sort(descending=True, stable=True)
    if basis.vectors is not None:
        return Basis(vectors=basis.vectors[:, order]), values
    assert basis.order is not None
    return Basis(order=basis.order[order]), values


def quadratic(matrix: Tensor, vectors: Tensor) -> Tensor:
    """Return v_jᵀ M v_j for every column of ``vectors`` (n, n)."""
    return ((matrix @ vectors) * vectors).sum(0)


def _asked(value: Asked | None, moments: str) -> Asked:
    if value is None:
        how = "a second pass, vitmem.kfac.corrected" if moments == "eigen" else f"moments='{moments}'"
        raise InputError(f"this importance needs the {moments} moments; collect the statistics with {how}")
    return value
