"""Detect layers whose output is not their weight times their input, for which an edit of the weight is ineffective."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from vitmem.errors import InputError, one_line
from vitmem.kfac.layers import eval_mode, is_conv1d, is_conv2d, matrix_of
from vitmem.kfac.patches import inputs_of, outputs_of

# Largest relative error of an output, in single precision and in fewer bits.
FINE, COARSE = 1e-3, 0.05


def check_weight_is_used(model: nn.Module, path: str) -> None:
    """Raise InputError unless the output of the layer ``path`` is its stored weight times its input.

    Checks the modules around the weight, and one output for a random input after changing the first row of the weight,
    which is restored bit for bit. A layer on the meta device is not called.
    """
    layer = model.get_submodule(path)
    why = _computed(layer) or _adapted(model, path)
    if why is None and not _weight(layer).is_meta:
        why = _behaves(layer)
    if why is not None:
        raise InputError(f"layer '{path}': {why}, so the network would not compute with an edited weight alone")


def _computed(layer: nn.Module) -> str | None:
    """Return the way in which the weight of ``layer`` is computed, ``None`` for a plain parameter or buffer."""
    if parametrize.is_parametrized(layer, "weight"):
        kinds = [type(one).__name__.strip("_") for one in layer.parametrizations["weight"]]  # type: ignore[index]
        return f"its weight is computed by a parametrization ({', '.join(kinds)})"
    own = {**dict(layer.named_parameters(recurse=False)), **dict(layer.named_buffers(recurse=False))}
    if "weight" in own:
        return None
    parts = [name for name in own if name.startswith("weight")]
    return f"its weight is computed from {', '.join(parts) or 'others'} (weight norm, spectral norm or pruning)"


def _adapted(model: nn.Module, path: str) -> str | None:
    """Return the adapter, such as LoRA, that adds to the layer's output, beside or around it, or ``None``."""
    parent, _, name = path.rpartition(".")
    around = model.get_submodule(parent)
    beside = [*dict(around.named_children()), *dict(around.named_parameters(recurse=False))]
    inside = [key for key, _ in model.get_submodule(path).named_parameters()]
    adapters = [key for key in (*beside, *inside) if key.lower().startswith("lora")]
    if name == "base_layer" or adapters:
        return f"an adapter that is not merged ({', '.join(adapters[:2]) or type(around).__name__}) adds to its output"
    return None


@torch.no_grad()
def _behaves(layer: nn.Module) -> str | None:
    """Return the defect in the output of ``layer`` for a random input under a changed first row, or ``None``."""
    weight = _weight(layer).detach()
    if weight.is_inference() or not bool(torch.isfinite(weight.sum(dtype=torch.float64))):
        return None  # reported later: statistics need gradients, and edits finite weights
    generator = torch.Generator().manual_seed(0)
    entering = torch.randn(_shape(layer), generator=generator).to(weight.device, weight.dtype)
    row = weight.select(_rows_axis(layer), 0)
    kept = row.clone()
    try:
        with eval_mode(layer):
            row.mul_(-1).add_(kept.abs().mean().clamp_min(1e-3))
            got = outputs_of(layer, layer(entering))
            expected = inputs_of(layer, entering) @ matrix_of(layer, weight).T
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        return f"it cannot be called with the input of a {type(layer).__name__} ({one_line(error, 80)})"
    finally:
        row.copy_(kept)
    bias = getattr(layer, "bias", None)
    expected = expected if bias is None else expected + bias
    if got.shape == expected.shape:
        apart = float((got.double() - expected.double()).norm() / expected.double().norm().clamp_min(1e-12))
        if apart < (FINE if weight.dtype in (torch.float32, torch.float64) else COARSE):
            return None
    return "its output is not its weight times its input"


def _weight(layer: nn.Module) -> Tensor:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight


def _rows_axis(layer: nn.Module) -> int:
    """Return the axis of the stored weight for the outputs."""
    return 1 if is_conv1d(layer) else 0


def _shape(layer: nn.Module) -> tuple[int, ...]:
    """Return the smallest input shape: one row, or a map of one patch."""
    if is_conv2d(layer):
        assert isinstance(layer, nn.Conv2d)
        sides = [d * (k - 1) + 1 for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        return 1, layer.in_channels, *sides
    return 1, matrix_of(layer, _weight(layer).detach()).shape[1]
