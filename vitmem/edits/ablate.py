"""Control: set the edited matrices to zero. The remaining accuracy does not depend on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitmem import kfac as engine
from vitmem.edits.base import EditContext, EditResult, each_layer
from vitmem.entries import Edit
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from torch import Tensor

    from vitmem.kfac import LayerReport


@EDITS.register("ablate")
class Ablate(Edit):
    """Control: set the edited matrices to zero.

    Memory that remains is stored elsewhere in the network, and the remaining accuracy does not depend on these
    matrices. No edit of them can remove more memory.
    """

    title, role, uses = "ablation", "control", "data-free"

    def edit(self, context: EditContext) -> EditResult:
        """Return zeros for every W (p, q); biases stay. Raises VitmemError naming a layer with a non-finite weight."""
        return each_layer(context, _zero)


def _zero(_path: str, weight: Tensor) -> tuple[Tensor, LayerReport]:
    new = weight.new_zeros(weight.shape)
    return new, engine.replaced(weight, new, 0, weight.numel(), 0.0)
