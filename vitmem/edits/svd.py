"""Truncated SVD of each matrix (LASER, Sharma et al. 2023): the data-free baseline of the paper."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vitmem import kfac as engine
from vitmem.edits.base import ByStrength, EditContext, Share
from vitmem.lazy import torch
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from torch import Tensor

    from vitmem.kfac import LayerReport

    Parts = dict[str, tuple[Tensor, Tensor, Tensor]]


@EDITS.register("svd")
class Svd(ByStrength):
    """Keep the largest singular values (LASER).

    The max(1, floor(rank_fraction * min(p, q))) largest ones of every W (p, q) are kept.
    """

    title, uses = "SVD", "data-free"
    exactly_one = ("rank_fraction", *ByStrength.exactly_one)
    example = {"rank_fraction": 0.3}
    rank_fraction: Share = Field(default=None, description="share of the singular values of each matrix that are kept")

    def prepare(self, context: EditContext) -> Parts:
        """Return the singular value decomposition of every weight."""
        return {path: decomposed(context, path) for path in context.layers}

    def change(self, path: str, weight: Tensor, context: EditContext, prepared: Any) -> tuple[Tensor, LayerReport]:
        """Return W (p, q) at reduced rank; the report counts singular values."""
        assert self.rank_fraction is not None
        u, s, vt = prepared[path]
        rank = max(1, math.floor(round(self.rank_fraction * len(s), 6)))  # 0.29 * 100 is 28.999999999999996
        new = ((u[:, :rank] * s[:rank]) @ vt[:rank]).to(weight.dtype) if rank < len(s) else weight.clone()
        energy = float(s[:rank].square().sum() / s.square().sum()) if s.any() else 1.0
        return new, engine.replaced(weight, new, rank, len(s), energy)


def decomposed(context: EditContext, path: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return U (p, k), the singular values (k,) descending and Vᵀ (k, q) of a layer's weight (p, q), float64.

    Raises VitmemError naming the layer whose weight is not finite.
    """
    u, s, vt = torch.linalg.svd(context.weight(path).double(), full_matrices=False)
    return u, s, vt
