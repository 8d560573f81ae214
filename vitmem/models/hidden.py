"""The layers that read the hidden units of a network's MLPs."""

from __future__ import annotations

from vitmem import kfac as engine
from vitmem.errors import InputError
from vitmem.lazy import torch
from vitmem.models.base import Network
from vitmem.recipe import ExampleTied

# timm's name of the MLP layer that reads the hidden units, after an activation or a gate.
READER = "fc2"


def tied_layers(model: Network, tied: ExampleTied) -> dict[str, torch.nn.Linear]:
    """Return path -> linear layer ``fc2`` of the MLPs in the blocks of ``tied``: its inputs are the hidden units.

    Only editable layers are searched. Raises InputError when there is none, for an unknown block, and when none or all
    of the hidden units would be fixed.
    """
    layers = engine.find_layers(model.net, model.editable(tied.blocks))
    readers = {
        path: layer
        for path, layer in layers.items()
        if path.rpartition(".")[2] == READER and isinstance(layer, torch.nn.Linear)
    }
    if not readers:
        raise InputError(
            f"recipe: 'example_tied' needs blocks with an MLP whose second linear layer is called '{READER}', and the "
            f"editable layers of this model are {', '.join(model.layers)}; take another model, or leave it out"
        )
    for layer in readers.values():
        tied.fixed_units(layer.in_features)
    return readers
