"""Probe: what a network loses without one band of directions in what enters its layers."""

from __future__ import annotations

from typing import Literal

import torch

from vitmem.errors import InputError
from vitmem.kfac import Basis, edit_matrix
from vitmem.kfac.bands import band_sizes
from vitmem.method_params import band_ends
from vitmem.methods.base import EditContext, EditResult


def band_removed(context: EditContext, *, band: str, basis: Literal["kfac", "svd"] = "kfac") -> EditResult:
    """Return W (I - V_b V_bᵀ) for every W (p, q), V_b the vectors of ``band``, such as ``10-25`` per cent.

    Vectors are told into bands by number, from the largest eigenvalue down: those of A, (q, q), or in the basis
    ``svd`` the min(p, q) right singular vectors of W, which need no statistics. What is counted as kept are the pairs
    of an output and a direction that is left. Bands of A are those in which Merullo et al. (2025), figure 2, compare
    the inputs of memorized and other text. Raises InputError for what is no band, for one that holds no vector of a
    layer and when a layer has no statistics, VitmemError naming the layer whose weight is not finite.
    """
    low, high = band_ends(band)
    result = EditResult()
    for path in context.layers:
        weight = context.weight(path)
        if basis == "kfac":
            vectors, count = context.statistics(path).eigen_a.vectors, weight.shape[1]
        else:
            # all q of them: those that W does not read are kept with the rest
            vectors, count = torch.linalg.svd(weight.double()).Vh.T.cpu(), min(weight.shape)
        before, size = band_sizes(count, (low, high))
        if not size:
            raise InputError(f"layer '{path}': band {band} holds none of its {count} directions; take a wider one")
        mask = torch.ones(weight.shape, dtype=torch.float64)
        mask[:, before : before + size] = 0
        axes = Basis(order=torch.arange(len(weight)))
        result.weights[path], result.reports[path] = edit_matrix(weight, axes, Basis(vectors=vectors), mask)
    return result
