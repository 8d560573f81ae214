"""What architectures of a library have in common: how images reach them, and blocks told by the names of layers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from vitmem.errors import InputError, one_line
from vitmem.kfac.layers import is_conv2d
from vitmem.models.base import ImageShape

# The convolutions of a residual block, and the pattern of all that one block has.
CONVOLUTIONS, EVERY_CONVOLUTION = re.compile(r"^(.*\.\d+)\.conv\d$"), "conv[0-9]"

# Of an architecture's arguments, those that the images and their labels settle.
TOLD = ("num_classes", "in_chans")
# Those that read files, some of which a library may unpickle, or name code that does.
LOADING = ("checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir", "weights", "weights_backbone")


@dataclass(frozen=True)
class Preprocessing:
    """How a published network reads images: height and width in pixels, and ``mean`` and ``std`` where white is 1."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def blocks_of(net: nn.Module, mlp_layers: re.Pattern[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the blocks with linear layers that match ``mlp_layers``, else those with convolutions, and their layers.

    The pattern has two groups: the path of the block, and that of the layer inside it. Both are empty when no module
    has such a name.
    """
    found: dict[str, list[str]] = {}
    for path, module in net.named_modules():
        match = mlp_layers.match(path)
        if match and isinstance(module, nn.Linear):
            found.setdefault(match[1], []).append(match[2])
    if found:
        return tuple(found), tuple(next(iter(found.values())))
    convolutions = ((CONVOLUTIONS.match(path), module) for path, module in net.named_modules())
    return tuple(dict.fromkeys(m[1] for m, module in convolutions if m and is_conv2d(module))), (EVERY_CONVOLUTION,)


def create(
    make: Callable[..., nn.Module],
    name: str,
    size: int,
    size_option: str,
    shape: ImageShape,
    options: Mapping[str, Any],
    arguments: Mapping[str, Any] | None,
) -> nn.Module:
    """Return what ``make`` gives of ``options`` and, over them, the user's ``arguments``.

    The input size is passed on as ``size_option`` where the architecture has one. Raises InputError naming the model
    ``name`` when it cannot be built for images of ``shape``, and for an argument that is read from the data or that
    would load weights: only our own reader never unpickles.
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
