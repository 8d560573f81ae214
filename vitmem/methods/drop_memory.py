"""Drop the memory units of example-tied dropout (Maini et al., ICML 2023), and what they learned with them."""

from __future__ import annotations

from dataclasses import replace

import torch

from vitmem.errors import InputError
from vitmem.kfac import find_layers
from vitmem.kfac.edit import replaced
from vitmem.methods.base import EditContext, EditResult


def drop_memory(context: EditContext) -> EditResult:
    """Zero the columns of the memory units in every W (p, q) that was tied; the q inputs of it are hidden units.

    Those of the fixed units, the first ones, are multiplied with (p_fixed + p_mem) / p_fixed, the factor of the
    published code: "drop" in place of "test" (vitmem.training.tied). Of all q units p_fixed + p_mem * (1 - p_fixed)
    are there in training, so that it is a little more than restores their number (1.5 for 1.4 at 0.2 and 0.1). Biases
    stay. The given layers are not looked at: the network's training says which ones they are. The report counts units.
    Raises InputError when nothing was tied, VitmemError naming the layer whose weight is not finite.
    """
    if not context.tied:
        raise InputError(
            "edit: 'drop_memory' needs a network whose hidden units were tied to examples in training; train it with "
            "'example_tied' in the recipe"
        )
    context = replace(context, layers=find_layers(context.model, list(context.tied)))
    result = EditResult()
    for path, tied in context.tied.items():
        weight = context.weight(path)
        fixed = tied.fixed_units(weight.shape[1])
        new = torch.zeros_like(weight)
        new[:, :fixed] = weight[:, :fixed].double() * ((tied.fixed + tied.memory) / tied.fixed)
        squares = weight.double().square()
        energy = float(squares[:, :fixed].sum() / squares.sum()) if weight.any() else 1.0
        result.weights[path] = new
        result.reports[path] = replaced(weight, new, fixed, weight.shape[1], energy)
    return result
