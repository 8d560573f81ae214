"""Control: keep the largest weights of each matrix, zero the rest (magnitude pruning, Han et al. 2015)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vitmem import kfac as engine
from vitmem.edits.base import ByStrength, EditContext, Share
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from torch import Tensor

    from vitmem.kfac import LayerReport


@EDITS.register("magnitude")
class Magnitude(ByStrength):
    """Control: keep the largest weights (magnitude pruning).

    The ceil(fraction * p * q) weights of largest |w| of every W (p, q) are kept.
    """

    title, role, uses = "magnitude", "control", "data-free"
    exactly_one = ("fraction", *ByStrength.exactly_one)
    example = {"fraction": 0.3}
    fraction: Share = Field(default=None, description="share of the weights of each matrix that are kept")

    def change(self, path: str, weight: Tensor, context: EditContext, prepared: Any) -> tuple[Tensor, LayerReport]:
        """Return W' (p, q) with the largest weights of W (p, q), and its report."""
        assert self.fraction is not None
        kept = math.ceil(round(self.fraction * weight.numel(), 6))
        largest = weight.abs().flatten().topk(kept).indices
        new = weight.new_zeros(weight.numel())
        new[largest] = weight.flatten()[largest]
        new = new.reshape(weight.shape)
        squares = weight.double().square()
        energy = float(squares.flatten()[largest].sum() / squares.sum()) if weight.any() else 1.0
        return new, engine.replaced(weight, new, kept, weight.numel(), energy)
