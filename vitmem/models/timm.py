"""Any architecture of timm, with head, input size and first layer fitted to the data."""

from __future__ import annotations

import re
from typing import Any

import timm as library
from torch import Tensor, nn
from torch.nn import functional

from vitmem.errors import InputError, unknown
from vitmem.models.base import ImageShape, VisionModel

# What timm calls the linear layers of a block's MLP, in ViTs, Swins, Mixers and ConvNeXts.
MLP_LAYERS = re.compile(r"^(.*?)\.((?:mlp|mlp_channels|ffn)\.(?:fc1|fc2))$")


def timm(
    shape: ImageShape,
    *,
    image_size: int | None = None,
    pretrained: bool = False,
    dropout: float = 0.0,
    architecture: str = "",
) -> VisionModel:
    """Return timm's ``architecture`` for images of ``shape``; its blocks are those with a linear MLP.

    With an ``image_size`` other than the data's, images are scaled to it (bilinear) before the first layer.
    Raises InputError for an unknown architecture, one that cannot take the images, and one without
    linear layers in its blocks.
    """
    if not library.is_model(architecture):
        raise unknown("timm architecture", architecture, library.list_models())
    size = image_size or shape.size
    net = _create(architecture, size, shape, pretrained, dropout)
    if size != shape.size:
        net.register_forward_pre_hook(lambda _net, args: (_scaled(args[0], size), *args[1:]))
    found: dict[str, list[str]] = {}
    for path, module in net.named_modules():
        match = MLP_LAYERS.match(path)
        if match and isinstance(module, nn.Linear):
            found.setdefault(match[1], []).append(match[2])
    if not found:
        raise InputError(
            f"model 'timm/{architecture}': no block with linear layers mlp.fc1 and mlp.fc2; "
            "write a plug-in that names its blocks and layers"
        )
    prefix = int(getattr(net, "num_prefix_tokens", 0))
    pools_token = getattr(net, "global_pool", None) == "token" and prefix > 0
    return VisionModel(
        net,
        blocks=tuple(found),
        layers=tuple(next(iter(found.values()))),
        positions="cls" if pools_token else "all",
        prefix_tokens=prefix,
    )


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
        text = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"model 'timm/{architecture}': cannot be built for {shape.channels}x{size}x{size} images: {text}"
        ) from error


def _scaled(images: Tensor, size: int) -> Tensor:
    """Return ``images`` (B, C, H, W) scaled to (B, C, size, size)."""
    return functional.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
