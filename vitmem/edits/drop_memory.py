"""Drop the memory units of example-tied dropout (Maini et al., ICML 2023), and what they learned with them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vitmem import kfac as engine
from vitmem.edits.base import EditContext, EditResult, each_layer
from vitmem.entries import Edit
from vitmem.errors import InputError
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from torch import Tensor

    from vitmem.kfac import LayerReport


@EDITS.register("drop_memory")
class DropMemory(Edit):
    """Zero the hidden units that 'example_tied' in a recipe tied to examples (Maini 2023).

    They are columns of every W (p, q) that was tied; the q inputs of it are hidden units. Those of the fixed units, the
    first ones, are multiplied with (p_fixed + p_mem) / p_fixed, the factor of the published code: "drop" in place of
    "test" (vitmem.training.tied). Of all q units p_fixed + p_mem * (1 - p_fixed) are there in training, so that it is a
    little more than restores their number (1.5 for 1.4 at 0.2 and 0.1). Biases stay. The given layers are not looked
    at: the network's training says which ones they are. The report counts units.
    """

    title, uses, edits_blocks, needs_tied = "drop memory units", "train-time", False, True

    def edit(self, context: EditContext) -> EditResult:
        """Zero the units; raises InputError when nothing was tied."""
        if not context.tied:
            raise InputError(
                "edit: 'drop_memory' needs a network whose hidden units were tied to examples in training; train it "
                "with 'example_tied' in the recipe"
            )

        def drop(path: str, weight: Tensor) -> tuple[Tensor, LayerReport]:
            tied = context.tied[path]
            fixed = tied.fixed_units(weight.shape[1])
            new = weight.new_zeros(weight.shape)
            new[:, :fixed] = weight[:, :fixed].double() * ((tied.fixed + tied.memory) / tied.fixed)
            squares = weight.double().square()
            energy = float(squares[:, :fixed].sum() / squares.sum()) if weight.any() else 1.0
            return new, engine.replaced(weight, new, fixed, weight.shape[1], energy)

        return each_layer(replace(context, layers=engine.find_layers(context.model, list(context.tied))), drop)
