"""Finding the linear layers of a model by path. W is (p, q): p outputs, q inputs."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from vitmem.errors import InputError

# Narrower floats carry scales beside them, which an edit of the numbers alone would miss.
EDITABLE = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def find_layers(model: nn.Module, patterns: Sequence[str]) -> dict[str, nn.Module]:
    """Return path -> layer for the linear layers whose path matches one of ``patterns`` (``blocks.*.fc1``).

    Linear are ``nn.Linear`` and the Conv1D of transformers, told by class, never by shape. Raises
    InputError for a pattern that matches nothing or nothing linear, offering the nearest path, and for a
    layer whose weight cannot be edited: quantised, not in memory, or shared with another module.
    """
    modules = {path: module for path, module in model.named_modules() if path}
    linear = [path for path, module in modules.items() if is_linear(module)]
    found: set[str] = set()
    for pattern in patterns:
        matches = [path for path in modules if fnmatchcase(path, pattern)]
        chosen = [path for path in matches if path in linear]
        if not chosen:
            near = difflib.get_close_matches(pattern, linear, n=1, cutoff=0.3)
            hint = f"did you mean '{near[0]}'?" if near else f"linear layers: {', '.join(linear[:4]) or 'none'}"
            what = f"only {type(modules[matches[0]]).__name__}" if matches else "nothing"
            raise InputError(f"layer pattern '{pattern}' matches {what}, expected linear layers; {hint}")
        found.update(chosen)
    for path in found:
        _check_weight(model, path)
    return {path: modules[path] for path in linear if path in found}


def _check_weight(model: nn.Module, path: str) -> None:
    weight = model.get_submodule(path).weight
    assert isinstance(weight, Tensor)
    if weight.dtype not in EDITABLE or weight.ndim != 2:
        raise InputError(
            f"layer '{path}': its weight is quantised ({weight.dtype}, shape {tuple(weight.shape)}), which cannot be "
            "edited without loss; load the model in bfloat16 or float32 instead"
        )
    if weight.is_meta:
        raise InputError(f"layer '{path}': its weight is not in memory (offloaded); load the model without offloading")
    check_own(model, path)


def check_own(model: nn.Module, path: str) -> None:
    """Raise InputError when the weight of the layer ``path`` is that of another module too."""
    weight = model.get_submodule(path).weight
    owners = (name for name, other in model.named_parameters(remove_duplicate=False) if other is weight)
    shared = [name for name in owners if name != f"{path}.weight"]
    if shared:
        raise InputError(f"layer '{path}': it shares its weight with '{shared[0]}', which an edit would change too")


def is_linear(module: nn.Module) -> bool:
    """Say whether ``module`` is a linear layer that the engine edits."""
    return isinstance(module, nn.Linear) or is_conv1d(module)


def is_conv1d(module: nn.Module) -> bool:
    """Say whether ``module`` is the Conv1D of transformers, a linear layer with a transposed weight."""
    return any(c.__name__ == "Conv1D" and c.__module__.startswith("transformers.") for c in type(module).__mro__)


def weight_matrix(layer: nn.Module) -> Tensor:
    """Return the weight of ``layer`` as W (p, q), a view."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight.detach().T if is_conv1d(layer) else weight.detach()
