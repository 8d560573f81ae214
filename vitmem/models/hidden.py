"""The hidden units of the MLPs of a network: which layers read them."""

from __future__ import annotations

from vitmem import kfac as engine
from vitmem.errors import InputError
from vitmem.lazy import torch
from vitmem.models.base import Network
from vitmem.specs import ExampleTied

# What timm calls the layer of an MLP that reads its hidden units, whatever stands before it (an activation, a gate).
READER = "fc2"


def tied_layers(model: Network, tied: ExampleTied) -> dict[str, torch.nn.Linear]:
    """Return path -> linear layer ``fc2`` of the MLPs in the blocks of ``tied``: its inputs are the hidden units.

    It is looked for among the layers that may be edited. Raises InputError when there is none, for a block that is not
    there, and where none or all of the hidden units would be fixed.
    """
    layers = engine.find_layers(model.net, model.editable(tied.blocks))
    found = {
        path: layer
        for path, layer in layers.items()
        if path.rpartition(".")[2] == READER and isinstance(layer, torch.nn.Linear)
    }
    if not found:
        raise InputError(
            f"recipe: 'example_tied' needs blocks with an MLP whose second linear layer is called '{READER}', and the "
            f"editable layers of this model are {', '.join(model.layers)}; take another model, or leave it out"
        )
    for layer in found.values():
        tied.fixed_units(layer.in_features)
    return found
