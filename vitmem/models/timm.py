"""Any architecture of timm, with head, input size and first layer fitted to the data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import timm as library
from timm.data import resolve_data_config
from torch import Tensor
from torch.nn import functional

from vitmem.errors import InputError, unknown
from vitmem.models.base import ImageShape, VisionModel
from vitmem.models.libraries import Preprocessing, blocks_of, create

# What timm calls the linear layers of a block's MLP, in ViTs, Swins, Mixers and ConvNeXts.
MLP_LAYERS = re.compile(r"^(.*?)\.((?:mlp|mlp_channels|ffn)\.(?:fc1|fc2))$")


def timm(
    shape: ImageShape,
    *,
    image_size: int | None = None,
    pretrained: bool = False,
    dropout: float = 0.0,
    arguments: Mapping[str, Any] | None = None,
    architecture: str = "",
) -> VisionModel:
    """Return timm's ``architecture`` for images of ``shape``; its blocks are those with a linear MLP.

    An architecture that has none, as the ResNets, has the blocks with convolutions, and these are edited. With an
    ``image_size`` other than the data's, images are scaled to it (bilinear) before the first layer. ``arguments`` are
    further ones of ``timm.create_model``, such as a depth. Raises InputError for an unknown architecture, one that
    cannot take the images, and one whose blocks have neither.
    """
    if not library.is_model(architecture):
        raise unknown("timm architecture", architecture, library.list_models())
    size = image_size or shape.size
    options: dict[str, Any] = {
        "pretrained": pretrained,
        "num_classes": shape.num_classes,
        "in_chans": shape.channels,
        "drop_rate": dropout,
    }
    make = partial(library.create_model, architecture)
    net = create(make, f"timm/{architecture}", size, "img_size", shape, options, arguments)
    if size != shape.size:
        net.register_forward_pre_hook(lambda _net, args: (_scaled(args[0], size), *args[1:]))
    blocks, layers = blocks_of(net, MLP_LAYERS)
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


def preprocessing(architecture: str) -> Preprocessing:
    """Return how the published weights of ``architecture`` (a tag may stand behind its name) read images.

    Raises InputError for an unknown architecture.
    """
    if not library.is_model(architecture):
        raise unknown("timm architecture", architecture, library.list_models())
    config = library.get_pretrained_cfg(architecture)
    images = resolve_data_config({}, pretrained_cfg=config.to_dict() if config else {})
    return Preprocessing(images["input_size"][-1], tuple(images["mean"]), tuple(images["std"]))


def _scaled(images: Tensor, size: int) -> Tensor:
    """Return ``images`` (B, C, H, W) scaled to (B, C, size, size)."""
    return functional.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
