"""Control: keep the largest weights of each matrix, set the rest to zero (magnitude pruning, Han et al. 2015)."""

from __future__ import annotations

import math

import torch

from vitmem.kfac.edit import replaced
from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.strength import Strength, applied


def magnitude(
    context: EditContext,
    *,
    fraction: float | None = None,
    match_drop: float | None = None,
    match_loss: float | None = None,
) -> EditResult:
    """Keep the ceil(fraction * p * q) weights of largest |w| of every W (p, q); exactly one strength is given.

    Raises VitmemError naming the layer whose weight is not finite.
    """

    def edit(strength: Strength) -> EditResult:
        assert strength.fraction is not None
        result = EditResult()
        for path in context.layers:
            weight = context.weight(path)
            kept = math.ceil(round(strength.fraction * weight.numel(), 6))
            largest = weight.abs().flatten().topk(kept).indices
            new = torch.zeros_like(weight).flatten()
            new[largest] = weight.flatten()[largest]
            result.weights[path] = new.reshape(weight.shape)
            squares = weight.double().square()
            energy = float(squares.flatten()[largest].sum() / squares.sum()) if weight.any() else 1.0
            result.reports[path] = replaced(weight, result.weights[path], kept, weight.numel(), energy)
        return result

    return applied(Strength(fraction=fraction, match_drop=match_drop, match_loss=match_loss), context, edit)
