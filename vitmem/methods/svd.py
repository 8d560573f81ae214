"""Truncated SVD of each matrix (LASER, Sharma et al. 2023): the data-free baseline of the paper."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vitmem.kfac.edit import replaced
from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.strength import Strength, applied


def svd(
    context: EditContext,
    *,
    rank_fraction: float | None = None,
    match_drop: float | None = None,
    match_loss: float | None = None,
) -> EditResult:
    """Keep the max(1, floor(rank_fraction * min(p, q))) largest singular values of every W (p, q).

    Exactly one strength is given. Raises VitmemError naming the layer whose weight is not finite.
    """
    parts = {path: decomposed(context, path) for path in context.layers}

    def edit(strength: Strength) -> EditResult:
        assert strength.fraction is not None
        result = EditResult()
        for path, (u, s, vt) in parts.items():
            weight = context.weight(path)
            rank = max(1, math.floor(round(strength.fraction * len(s), 6)))  # 0.29 * 100 is 28.999999999999996
            new = ((u[:, :rank] * s[:rank]) @ vt[:rank]).to(weight.dtype) if rank < len(s) else weight.clone()
            energy = float(s[:rank].square().sum() / s.square().sum()) if s.any() else 1.0
            result.weights[path] = new
            result.reports[path] = replaced(weight, new, rank, len(s), energy)
        return result

    return applied(Strength(None, rank_fraction, match_drop, match_loss), context, edit)


def decomposed(context: EditContext, path: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return U (p, k), the singular values (k,) descending and Vᵀ (k, q) of the weight (p, q) of a layer, float64.

    Raises VitmemError naming the layer whose weight is not finite.
    """
    u, s, vt = torch.linalg.svd(context.weight(path).double(), full_matrices=False)
    return u, s, vt
