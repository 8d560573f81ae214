"""Any architecture of timm, with head, input size and first layer fitted to the data."""

from __future__ import annotations

import re
from typing import Any

import timm as library
from torch import Tensor, nn
from torch.nn import functional

from vitmem.errors import InputError, one_line, unknown
from vitmem.kfac.layers import is_conv2d
from vitmem.models.base import ImageShape, VisionModel

# What timm calls the linear layers of a block's MLP, in ViTs, Swins, Mixers and ConvNeXts.
MLP_LAYERS = re.compile(r"^(.*?)\.((?:mlp|mlp_channels|ffn)\.(?:fc1|fc2))$")
# What it calls the convolutions of a residual block, and the pattern of all that one block has.
CONVOLUTIONS, EVERY_CONVOLUTION = re.compile(r"^(.*\.\d+)\.conv\d$"), "conv[0-9]"


def timm(
    shape: ImageShape,
    *,
    image_size: int | None = None,
    pretrained: bool = False,
    dropout: float = 0.0,
    architecture: str = "",
) -> VisionModel:
    """Return timm's ``architecture`` for images of ``shape``; its blocks are those with a linear MLP.

    An architecture that has none, as the ResNets, has the blocks with convolutions, and these are edited. With an
    ``image_size`` other than the data's, images are scaled to it (bilinear) before the first layer.
    Raises InputError for an unknown architecture, one that cannot take the images, and one whose blocks
    have neither.
    """
    if not library.is_model(architecture):
        raise unknown("timm architecture", architecture, library.list_models())
    size = image_size or shape.size
    net = _create(architecture, size, shape, pretrained, dropout)
    if size != shape.size:
        net.register_forward_pre_hook(lambda _net, args: (_scaled(args[0], size), *args[1:]))
    blocks, layers = _blocks(net)
    if not blocks:
        raise InputError(
            f"model 'timm/{architecture}': no block with linear layers mlp.fc1 and mlp.fc2 or convolutions conv1, "
            "conv2, ... of one group; write a plug-in that names its blocks and layers"
        )
    prefix = int(getattr(net, "num_prefix_tokens", 0))
    pools_token = getattr(net, "global_pool", None) == "token" and prefix > 0
    return VisionModel(
        net,
        blocks=blocks,
        layers=layers,
        positions="cls" if pools_token else "all",
        prefix_tokens=prefix,
    )


def _blocks(net: nn.Module) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the blocks with a linear MLP, else those with convolutions, and the layers to edit in each."""
    found: dict[str, list[str]] = {}
    for path, module in net.named_modules():
        match = MLP_LAYERS.match(path)
        if match and isinstance(module, nn.Linear):
            found.setdefault(match[1], []).append(match[2])
    if found:
        return tuple(found), tuple(next(iter(found.values())))
    convolutions = ((CONVOLUTIONS.match(path), module) for path, module in net.named_modules())
    return tuple(dict.fromkeys(m[1] for m, module in convolutions if m and is_conv2d(module))), (EVERY_CONVOLUTION,)


def _create(architecture: str, size: int, shape: ImageShape, pretrained: bool, dropout: float) -> nn.Module:
    """Create the network; the input size is passed on where the architecture has one."""
    options: dict[str, Any] = {
        "pretrained": pretrained,
        "num_classes": shape.num_classes,
        "in_chans": shape.channels,
        "drop_rate": dropout,
    }
    try:
        try:
            return library.create_model(architecture, img_size=size, **options)
        except TypeError as error:
            if "img_size" not in str(error):
                raise
            return library.create_model(architecture, **options)
    except (AssertionError, ValueError, RuntimeError, TypeError, OSError) as error:
        raise InputError(
            f"model 'timm/{architecture}': cannot be built for {shape.channels}x{size}x{size} images: {one_line(error)}"
        ) from error


def _scaled(images: Tensor, size: int) -> Tensor:
    """Return ``images`` (B, C, H, W) scaled to (B, C, size, size)."""
    return functional.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
