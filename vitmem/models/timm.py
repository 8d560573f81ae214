"""Any architecture of timm, with head, input size and first layer fitted to the data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from vitmem.errors import unknown
from vitmem.lazy import torch
from vitmem.models.base import ImageShape, Preprocessing, VisionModel
from vitmem.models.libraries import Patterns, create, rescale
from vitmem.models.places import places
from vitmem.models.vit import Count, Dropout
from vitmem.registry import MODELS


@MODELS.register("timm", version=2, summary="any timm architecture, as timm/<name>", family=True)
def timm(
    shape: ImageShape,
    architecture: str,
    *,
    image_size: Count | None = None,
    pretrained: bool = False,
    dropout: Dropout = 0.0,
    drop_path: Dropout | None = None,
    arguments: dict[str, Any] | None = None,
    blocks: Patterns = None,
    layers: Patterns = None,
) -> VisionModel:
    """Return timm's ``architecture`` for images of ``shape``, edited in the MLPs of its blocks, else in convolutions.

    ``blocks`` and ``layers`` are patterns of the layers to edit instead. With an ``image_size`` other than the data's,
    images are rescaled (bilinear) before the first layer. ``pretrained`` weights read images with their published mean
    and std. ``drop_path`` is the rate of stochastic depth. ``arguments`` are passed to ``timm.create_model``, such as a
    depth. Raises InputError for an unknown architecture, one that cannot take the images, and one without an editable
    layer.
    """
    import timm as library

    if not library.is_model(architecture):
        raise unknown("timm architecture", architecture, library.list_models())
    size = image_size or shape.size
    options: dict[str, Any] = {
        "pretrained": pretrained,
        "num_classes": shape.num_classes,
        "in_chans": shape.channels,
        "drop_rate": dropout,
        **({} if drop_path is None else {"drop_path_rate": drop_path}),
    }
    make = partial(library.create_model, architecture)
    name = f"timm/{architecture}"
    net = create(make, name, size, "img_size", shape, options, arguments)
    editable = places(net, name, shape.channels, size, blocks, layers, int(getattr(net, "num_prefix_tokens", 0)))
    if size != shape.size:
        rescale(net, size)
    pools_token = getattr(net, "global_pool", None) == "token" and editable.prefix_tokens > 0
    return VisionModel(
        net,
        blocks=editable.blocks,
        layers=editable.layers,
        layers_of=editable.layers_of,
        positions="cls" if pools_token else "all",
        prefix_tokens=editable.prefix_tokens,
        reads=_read_by(net) if pretrained else None,
    )


def preprocessing(architecture: str) -> Preprocessing:
    """Return the preprocessing of the published weights of ``architecture`` (optionally with a tag).

    Raises InputError for an unknown architecture.
    """
    import timm as library

    if not library.is_model(architecture):
        raise unknown("timm architecture", architecture, library.list_models())
    config = library.get_pretrained_cfg(architecture)
    return _preprocessing(config.to_dict() if config else {})


def _read_by(net: torch.nn.Module) -> Preprocessing:
    """Return the preprocessing of the published weights that ``net`` was created with."""
    return _preprocessing(getattr(net, "pretrained_cfg", {}))


def _preprocessing(config: Mapping[str, Any]) -> Preprocessing:
    from timm.data import resolve_data_config

    images = resolve_data_config({}, pretrained_cfg=dict(config))
    return Preprocessing(images["input_size"][-1], tuple(images["mean"]), tuple(images["std"]))
