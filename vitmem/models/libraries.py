"""Shared construction of library architectures, and a network from the blocks found in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from vitmem.errors import InputError, one_line
from vitmem.lazy import torch
from vitmem.models.base import ImageShape

if TYPE_CHECKING:
    from torch import Tensor

# Patterns of module paths; a single one is converted to a list.
Patterns = Annotated[
    Annotated[tuple[str, ...], Field(min_length=1)] | None,
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
]
# Architecture arguments determined by the images and their labels.
TOLD = ("num_classes", "in_chans")
# Arguments that read files, some of which a library may unpickle, or that name code that does.
LOADING = ("checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir", "weights", "weights_backbone")


def create(
    make: Callable[..., torch.nn.Module],
    name: str,
    size: int,
    size_option: str,
    shape: ImageShape,
    options: Mapping[str, Any],
    arguments: Mapping[str, Any] | None,
) -> torch.nn.Module:
    """Call ``make`` with ``options``, overridden by the user's ``arguments``.

    The input size is passed as ``size_option`` if the architecture has that option. Raises InputError naming the model
    ``name`` when it cannot be built for images of ``shape``, and for an argument that is determined by the data or
    would load weights: only vitmem's own reader is safe from unpickling.
    """
    for key in TOLD:
        if key in (arguments or {}):
            raise InputError(f"model '{name}': '{key}' is read from the data or the weights; leave it out")
    for key in (*LOADING, "pretrained"):
        if key in (arguments or {}):
            hint = "give 'pretrained' beside 'arguments'" if key == "pretrained" else "give the file as 'weights'"
            raise InputError(f"model '{name}': 'arguments' cannot load weights, as '{key}' would; {hint}")
    options = {**options, **(arguments or {})}
    try:
        try:
            return make(**{size_option: size, **options})
        except TypeError as error:
            if size_option not in str(error):
                raise
            return make(**options)
    except (AssertionError, ValueError, RuntimeError, TypeError, OSError) as error:
        raise InputError(
            f"model '{name}': cannot be built for {shape.channels}x{size}x{size} images: {one_line(error)}"
        ) from error


def rescale(net: torch.nn.Module, size: int) -> None:
    """Make ``net`` scale its images (B, C, H, W) to (B, C, size, size) before its first layer (bilinear)."""
    net.register_forward_pre_hook(lambda _net, args: (_scaled(args[0], size), *args[1:]))


def _scaled(images: Tensor, size: int) -> Tensor:
    """Return ``images`` (B, C, H, W) scaled to (B, C, size, size)."""
    return torch.nn.functional.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
