"""Drop the memory units of example-tied dropout (Maini et al., ICML 2023)."""

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

    Hidden units are columns of every tied W (p, q). Columns of the fixed units, the first ones, are multiplied by
    (p_fixed + p_mem) / p_fixed, the factor of the published code ("drop" instead of "test", vitmem.training.tied). In
    training p_fixed + p_mem * (1 - p_fixed) of the q units are active, so the factor is slightly larger than their
    ratio (1.5 instead of 1.4 at 0.2 and 0.1). Biases stay. The layers come from the network's training; the given
    layers are ignored. The report counts units.
    """

    title, uses, edits_blocks, needs_tied = "drop memory units", "train-time", False, True

    def edit(self, context: EditContext) -> EditResult:
        """Zero the units; raises InputError when no unit was tied."""
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
