"""Control: shrink every weight by the same factor, to compare an edit with plain shrinkage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from vitmem import kfac as engine
from vitmem.edits.base import ByStrength, EditContext, Share
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from torch import Tensor

    from vitmem.kfac import LayerReport


@EDITS.register("uniform_scaling")
class UniformScaling(ByStrength):
    """Control: every weight times the same factor.

    ‖ΔW‖ = (1 - factor) ‖W‖ for every W (p, q). It is a control for another edit of the same ``relative_change``. The
    report counts every weight as kept and gives ‖W'‖²/‖W‖² as the energy.
    """

    title, role, uses = "uniform scaling", "control", "data-free"
    exactly_one = ("factor", *ByStrength.exactly_one)
    example = {"factor": 0.5}
    factor: Share = Field(default=None, description="factor of every weight")

    def change(self, path: str, weight: Tensor, context: EditContext, prepared: Any) -> tuple[Tensor, LayerReport]:
        """Return ``factor`` * W (p, q)."""
        assert self.factor is not None
        new = (weight.double() * self.factor).to(weight.dtype)
        return new, engine.replaced(weight, new, weight.numel(), weight.numel(), self.factor**2)
