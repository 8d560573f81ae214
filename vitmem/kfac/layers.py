"""Finding the linear layers of a model by path. W is (p, q): p outputs, q inputs."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import Tensor, nn

from vitmem.errors import InputError


def find_layers(model: nn.Module, patterns: Sequence[str]) -> dict[str, nn.Module]:
    """Return path -> layer for the linear layers whose path matches one of ``patterns`` (``blocks.*.fc1``).

    Linear are ``nn.Linear`` and the Conv1D of transformers, told by class, never by shape. Raises
    InputError for a pattern that matches nothing or nothing linear, offering the nearest path.
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
    return {path: modules[path] for path in linear if path in found}


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
