"""Truncated SVD of each matrix (LASER, Sharma et al. 2023): the data-free baseline of the paper."""

from __future__ import annotations

import math

import torch

from vitmem.errors import VitmemError
from vitmem.kfac import weight_matrix
from vitmem.kfac.edit import replaced
from vitmem.methods.base import EditContext, EditResult


def svd(context: EditContext, *, rank_fraction: float) -> EditResult:
    """Keep the max(1, floor(rank_fraction * min(p, q))) largest singular values of every W (p, q).

    Raises VitmemError naming the layer whose weight is not finite.
    """
    result = EditResult()
    for path, layer in context.layers.items():
        weight = weight_matrix(layer)
        if not torch.isfinite(weight).all():
            raise VitmemError(f"layer '{path}': NaN or infinity in its weight; was the model trained to the end?")
        u, s, vt = torch.linalg.svd(weight.double(), full_matrices=False)
        rank = max(1, math.floor(round(rank_fraction * len(s), 6)))  # 0.29 * 100 is 28.999999999999996
        new = ((u[:, :rank] * s[:rank]) @ vt[:rank]).to(weight.dtype) if rank < len(s) else weight.clone()
        energy = float(s[:rank].square().sum() / s.square().sum()) if s.any() else 1.0
        result.weights[path] = new
        result.reports[path] = replaced(weight, new, rank, len(s), energy)
    return result
