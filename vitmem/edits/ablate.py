"""Control: the edited matrices at zero. What is left is what the network can do without them."""

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
    """Control: the edited matrices at zero.

    What is still memorized lies elsewhere in the network; the accuracy that is left passes around these matrices. No
    edit of them can take out more memory than this one.
    """

    title, role, uses = "ablation", "control", "data-free"

    def edit(self, context: EditContext) -> EditResult:
        """Return zeros for every W (p, q); biases stay. Raises VitmemError naming the layer that is not finite."""
        return each_layer(context, _zero)


def _zero(_path: str, weight: Tensor) -> tuple[Tensor, LayerReport]:
    new = weight.new_zeros(weight.shape)
    return new, engine.replaced(weight, new, 0, weight.numel(), 0.0)
