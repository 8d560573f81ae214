"""Find the editable layers of a model by patterns of their paths."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from vitmem.errors import InputError, near_names
from vitmem.kfac.computed import check_weight_is_used
from vitmem.kfac.layers import is_conv2d, is_matrix

# Narrower floats have separate scales, which an edit of the numbers alone would miss.
EDITABLE = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def find_layers(model: nn.Module, patterns: Sequence[str]) -> dict[str, nn.Module]:
    """Return path -> layer for the matrix layers whose path matches one of ``patterns`` (``blocks.*.fc1``).

    These are ``nn.Linear``, the Conv1D of transformers and ``nn.Conv2d`` of one group, identified by class, not by
    shape. Raises InputError for a pattern that matches no such layer, suggesting the nearest path, and for a layer
    whose weight cannot be edited: quantised, not in memory, or shared with another module.
    """
    modules = {path: module for path, module in model.named_modules() if path}
    editable = [path for path, module in modules.items() if is_matrix(module)]
    selected: set[str] = set()
    for pattern in patterns:
        matches = [path for path in modules if fnmatchcase(path, pattern)]
        chosen = [path for path in matches if path in editable]
        if not chosen:
            near = near_names(pattern, editable, alike=0.3)
            hint = f"did you mean '{near[0]}'?" if near else f"such layers: {', '.join(editable[:4]) or 'none'}"
            matched = f"only {_named(modules[matches[0]])}" if matches else "nothing"
            raise InputError(
                f"layer pattern '{pattern}' matches {matched}, expected linear layers or convolutions; {hint}"
            )
        selected.update(chosen)
    for path in selected:
        _check_weight(model, path)
    return {path: modules[path] for path in editable if path in selected}


def _named(module: nn.Module) -> str:
    """Return the class of ``module``, and why a convolution is not one matrix."""
    name = type(module).__name__
    if not isinstance(module, nn.Conv2d):
        return name
    if module.groups > 1:
        return f"a {name} in {module.groups} groups, each with its own matrix"
    return f"a {name}, whose weight or padding is not that of a plain nn.Conv2d"


def _check_weight(model: nn.Module, path: str) -> None:
    layer = model.get_submodule(path)
    weight = layer.weight
    assert isinstance(weight, Tensor)
    if weight.dtype not in EDITABLE or weight.ndim != (4 if is_conv2d(layer) else 2):
        raise InputError(
            f"layer '{path}': its weight is quantised ({weight.dtype}, shape {tuple(weight.shape)}), which cannot be "
            "edited without loss; load the model in bfloat16 or float32 instead"
        )
    if weight.is_meta:
        raise InputError(f"layer '{path}': its weight is not in memory (offloaded); load the model without offloading")
    check_own(model, path)
    check_weight_is_used(model, path)


def check_own(model: nn.Module, path: str) -> None:
    """Raise InputError when the layer ``path`` shares its weight with another module."""
    weight = model.get_submodule(path).weight
    owners = (name for name, other in model.named_parameters(remove_duplicate=False) if other is weight)
    shared = [name for name in owners if name != f"{path}.weight"]
    if shared:
        raise InputError(f"layer '{path}': it shares its weight with '{shared[0]}', which an edit would change too")
