"""Checks of the arguments of ``fit`` before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vitmem.errors import InputError
from vitmem.kfac.labels import IGNORED, LabelMode
from vitmem.kfac.layers import is_matrix


def check_layers(model: nn.Module, layers: Mapping[str, nn.Module]) -> None:
    """Raise InputError unless ``layers`` maps paths to linear layers or convolutions of ``model``, at least one."""
    if not isinstance(layers, Mapping):
        raise InputError(
            f"layers: expected path -> module, got a {type(layers).__name__}; find_layers(model, patterns) returns them"
        )
    if not layers:
        raise InputError("statistics: expected at least one layer, got none")
    for path, layer in layers.items():
        if not isinstance(layer, nn.Module) or not is_matrix(layer):
            raise InputError(
                f"layers: '{path}': expected a linear layer or a convolution of one group, got "
                f"{type(layer).__name__}; find_layers(model, patterns) returns them"
            )
        if _at(model, path) is not layer:
            raise InputError(f"layers: '{path}' is not the path of this layer in the model; find_layers returns both")


def check_gradients(model: nn.Module) -> None:
    """Raise InputError where torch records no gradients: under ``inference_mode``, or for weights made under it."""
    if torch.is_inference_mode_enabled():
        raise InputError(
            "statistics: torch.inference_mode() records no gradients, which statistics need; call outside of it "
            "(torch.no_grad() is allowed)"
        )
    inference = next((name for name, parameter in model.named_parameters() if parameter.is_inference()), None)
    if inference is not None:
        raise InputError(f"weights: '{inference}' was made under torch.inference_mode(); make the model outside of it")


def check_given(given: Any, rows: int, classes: int, mode: LabelMode) -> Tensor:
    """Return the ``given`` labels (N,); raises InputError unless there is one class number for each of ``rows``."""
    if not isinstance(given, Tensor) or given.is_floating_point() or given.ndim != 1:
        got = f"{given.dtype} of {tuple(given.shape)}" if isinstance(given, Tensor) else f"a {type(given).__name__}"
        soft = isinstance(given, Tensor) and given.ndim == 2
        hint = "soft labels are not read, give labels.argmax(1)" if soft else "zeros suffice where labels are sampled"
        raise InputError(f"labels: expected class numbers (N,) int64, one per row of the logits, got {got}; {hint}")
    if len(given) != rows:
        raise InputError(f"labels: expected {rows} given labels, one per row of the logits, got {len(given)}")
    if mode == "given":
        outside = given[(given != IGNORED) & ((given < 0) | (given >= classes))]
        if len(outside):
            label = int(outside[0])
            raise InputError(f"labels: expected classes 0 to {classes - 1}, or {IGNORED} for none, got {label}")
    return given


def _at(model: nn.Module, path: Any) -> nn.Module | None:
    try:
        return model.get_submodule(str(path))
    except AttributeError:
        return None
