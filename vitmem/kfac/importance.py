"""Which pairs of directions matter: two bases and a separable importance, Π_ij = rows_i * columns_j."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vitmem.errors import InputError
from vitmem.kfac.factors import LayerFactors

Importance = Literal["kfac", "ckfac", "identity"]
Side = Literal["both", "A", "G"]


@dataclass(frozen=True)
class Basis:
    """n orthonormal directions: the columns of ``vectors`` (n, n), or the axes in ``order`` (n,)."""

    vectors: Tensor | None = None
    order: Tensor | None = None

    def into(self, matrix: Tensor) -> Tensor:
        """Return the coordinates of the rows' space: Uᵀ M for ``matrix`` M (n, m)."""
        return self.vectors.T @ matrix if self.vectors is not None else matrix[self.order]

    def back(self, coordinates: Tensor) -> Tensor:
        """Return U C for ``coordinates`` C (n, m)."""
        if self.vectors is not None:
            return self.vectors @ coordinates
        assert self.order is not None
        return torch.empty_like(coordinates).index_copy_(0, self.order, coordinates)


@dataclass(frozen=True)
class Pairs:
    """The bases of the output (p) and input (q) side with their importances, both descending, float64."""

    output: Basis
    input: Basis
    rows: Tensor
    columns: Tensor


def pairs(factors: LayerFactors, importance: Importance = "kfac", side: Side = "both") -> Pairs:
    """Return bases and importances of one layer (method.md, section 2).

    ``kfac``: eigenvectors of G and A with their eigenvalues. ``ckfac``: the same vectors with the coupled
    moments u_iᵀ G̃ u_i and v_jᵀ Ã v_j / T. ``identity``: the axes with diag G̃ and diag Ã / T. ``side`` reads
    the importance of one side only. Raises InputError when the moments were not collected.
    """
    if importance == "identity":
        rows, columns = _asked(factors.g_diagonal, "diagonal"), _asked(factors.a_diagonal, "diagonal")
        output, inner = Basis(order=torch.arange(len(rows))), Basis(order=torch.arange(len(columns)))
    else:
        g, a = factors.eigen_g, factors.eigen_a
        output, inner = Basis(vectors=g.vectors), Basis(vectors=a.vectors)
        rows, columns = g.values, a.values
        if importance == "ckfac":
            rows = _quadratic(_asked(factors.g_coupled, "coupled"), g.vectors)
            columns = _quadratic(_asked(factors.a_coupled, "coupled"), a.vectors)
    if importance != "kfac" and factors.trace:
        columns = columns / factors.trace
    if side == "A":
        rows = torch.ones_like(rows)
    elif side == "G":
        columns = torch.ones_like(columns)
    output, rows = _sorted(output, rows)
    inner, columns = _sorted(inner, columns)
    return Pairs(output, inner, rows, columns)


def _sorted(basis: Basis, values: Tensor) -> tuple[Basis, Tensor]:
    """Return basis and values with the values descending; equal ones keep their order."""
    values, order = values.clamp_min(0).sort(descending=True, stable=True)
    if basis.vectors is not None:
        return Basis(vectors=basis.vectors[:, order]), values
    assert basis.order is not None
    return Basis(order=basis.order[order]), values


def _quadratic(matrix: Tensor, vectors: Tensor) -> Tensor:
    """Return v_jᵀ M v_j for every column of ``vectors`` (n, n)."""
    return ((matrix @ vectors) * vectors).sum(0)


def _asked(value: Tensor | None, moments: str) -> Tensor:
    if value is None:
        raise InputError(
            f"this importance needs the {moments} moments; collect the statistics with moments='{moments}'"
        )
    return value
