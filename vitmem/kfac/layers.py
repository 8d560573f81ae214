"""Finding the layers of a model that are matrices, by path. W is (p, q): p outputs, q inputs."""

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
    """Return path -> layer for the layers that are matrices whose path matches one of ``patterns`` (``blocks.*.fc1``).

    They are ``nn.Linear``, the Conv1D of transformers and ``nn.Conv2d`` of one group, told by class, never by
    shape. Raises InputError for a pattern that matches nothing or none of these, offering the nearest path, and
    for a layer whose weight cannot be edited: quantised, not in memory, or shared with another module.
    """
    modules = {path: module for path, module in model.named_modules() if path}
    editable = [path for path, module in modules.items() if is_matrix(module)]
    found: set[str] = set()
    for pattern in patterns:
        matches = [path for path in modules if fnmatchcase(path, pattern)]
        chosen = [path for path in matches if path in editable]
        if not chosen:
            near = difflib.get_close_matches(pattern, editable, n=1, cutoff=0.3)
            hint = f"did you mean '{near[0]}'?" if near else f"such layers: {', '.join(editable[:4]) or 'none'}"
            what = f"only {_named(modules[matches[0]])}" if matches else "nothing"
            raise InputError(
                f"layer pattern '{pattern}' matches {what}, expected linear layers or convolutions; {hint}"
            )
        found.update(chosen)
    for path in found:
        _check_weight(model, path)
    return {path: modules[path] for path in editable if path in found}


def _named(module: nn.Module) -> str:
    """Return the class of ``module``, and why a convolution is not one matrix."""
    name = type(module).__name__
    if not isinstance(module, nn.Conv2d):
        return name
    if module.groups > 1:
        return f"a {name} in {module.groups} groups, which are a matrix each"
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


def check_own(model: nn.Module, path: str) -> None:
    """Raise InputError when the weight of the layer ``path`` is that of another module too."""
    weight = model.get_submodule(path).weight
    owners = (name for name, other in model.named_parameters(remove_duplicate=False) if other is weight)
    shared = [name for name in owners if name != f"{path}.weight"]
    if shared:
        raise InputError(f"layer '{path}': it shares its weight with '{shared[0]}', which an edit would change too")


def layer_at(model: nn.Module, path: str) -> nn.Module:
    """Return the module ``path`` of ``model``; raises InputError when there is none."""
    try:
        return model.get_submodule(path)
    except AttributeError:
        raise InputError(
            f"layer '{path}': the model has no such module; were the weights made for another model?"
        ) from None


def is_matrix(module: nn.Module) -> bool:
    """Say whether ``module`` is a layer that the engine edits: linear, or a convolution of one group."""
    return is_linear(module) or is_conv2d(module)


def is_linear(module: nn.Module) -> bool:
    """Say whether ``module`` is a linear layer."""
    return isinstance(module, nn.Linear) or is_conv1d(module)


def is_conv1d(module: nn.Module) -> bool:
    """Say whether ``module`` is the Conv1D of transformers, a linear layer with a transposed weight."""
    return any(c.__name__ == "Conv1D" and c.__module__.startswith("transformers.") for c in type(module).__mro__)


def is_conv2d(module: nn.Module) -> bool:
    """Say whether ``module`` is a convolution of one group whose weight is applied to patches as it is.

    Subclasses that pad or scale their weight in a forward pass of their own are none.
    """
    plain = isinstance(module, nn.Conv2d) and module.groups == 1
    return plain and type(module).forward is nn.Conv2d.forward


def weight_matrix(layer: nn.Module) -> Tensor:
    """Return the weight of ``layer`` as W (p, q); its q inputs are those of a patch (C, kh, kw) in a convolution."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return matrix_of(layer, weight.detach())


def matrix_of(layer: nn.Module, value: Tensor) -> Tensor:
    """Turn ``value``, shaped as ``layer`` keeps its weight, into (p, q)."""
    return value.T if is_conv1d(layer) else value.flatten(1)


def kept_as(layer: nn.Module, matrix: Tensor) -> Tensor:
    """Turn ``matrix`` (p, q) into the shape that ``layer`` keeps its weight in: the other way round."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return matrix.T if is_conv1d(layer) else matrix.reshape(weight.shape)


def put_matrix(layer: nn.Module, matrix: Tensor) -> None:
    """Put W (p, q) into ``layer``, in the shape, type and memory format that it keeps its weight in."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    weight.detach().copy_(kept_as(layer, matrix))
