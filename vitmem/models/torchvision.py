"""Any classifier of torchvision, edited in the MLPs of its blocks (ViT, Swin, ConvNeXt), else convolutions (ResNet).

Its attention stores the weights of queries, keys and values outside linear layers, or uses the weight of a linear layer
without calling it, so no statistics of them can be collected.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from vitmem.errors import InputError, one_line, unknown
from vitmem.lazy import torch
from vitmem.models.base import ImageShape, Preprocessing, VisionModel
from vitmem.models.libraries import Patterns, create, rescale
from vitmem.models.places import places
from vitmem.models.start import start_from
from vitmem.models.vit import Count
from vitmem.models.weights import Weights
from vitmem.registry import MODELS


@MODELS.register("torchvision", version=2, summary="any torchvision classifier, as torchvision/<name>", family=True)
def torchvision(
    shape: ImageShape,
    architecture: str,
    *,
    image_size: Count | None = None,
    pretrained: bool | None = None,
    arguments: dict[str, Any] | None = None,
    blocks: Patterns = None,
    layers: Patterns = None,
) -> VisionModel:
    """Return torchvision's classifier ``architecture`` for images of ``shape``, made with further ``arguments``.

    Edits apply to the MLPs of its blocks, else to convolutions, or to the matches of the patterns ``blocks`` and
    ``layers``. With an ``image_size`` other than the data's, images are rescaled (bilinear) before the first layer.
    ``pretrained`` takes the published weights, downloaded once, with their mean and std, and a new classifier for
    another number of classes. Raises InputError for an unknown architecture, one that cannot take the images (all read
    three channels), one without an editable layer, and weights that cannot be downloaded.
    """
    import torchvision.models as library

    if architecture not in classifiers():
        raise unknown("torchvision architecture", architecture, classifiers())
    name = f"torchvision/{architecture}"
    if shape.channels != 3:
        raise InputError(f"model '{name}': it reads images of 3 channels, got {shape.channels}")
    make = partial(library.get_model, architecture, weights=None)
    size = image_size or shape.size

    def again(classes: int) -> torch.nn.Module:
        return create(make, name, size, "image_size", shape, {"num_classes": classes}, arguments)

    net = again(shape.num_classes)
    editable = places(net, name, shape.channels, size, blocks, layers, int(hasattr(net, "class_token")))
    if size != shape.size:
        rescale(net, size)
    model = VisionModel(
        net,
        editable.blocks,
        editable.layers,
        layers_of=editable.layers_of,
        positions="cls" if editable.prefix_tokens else "all",
        prefix_tokens=editable.prefix_tokens,
        reads=preprocessing(architecture) if pretrained else None,
    )
    if pretrained:
        start_from(model, name, replace(shape, size=size), _published(architecture), again)
    return model


def _published(architecture: str) -> Weights:
    """Return the published weights of ``architecture``; raises InputError when they cannot be downloaded or read."""
    import torchvision.models as library

    published = library.get_model_weights(architecture).DEFAULT
    try:
        state = published.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except Exception as error:  # of the connection, the disk, or a damaged file, which may be almost any
        raise InputError(
            f"model 'torchvision/{architecture}': its published weights cannot be read from {published.url}: "
            f"{one_line(error, 150)}; give a file of your own as 'weights'"
        ) from error
    return Weights(Path(Path(published.url).name), state)


def classifiers() -> list[str]:
    """Return the names of the classification architectures."""
    import torchvision.models as library

    names: list[str] = library.list_models(module=library)
    return names


def preprocessing(architecture: str) -> Preprocessing:
    """Return the preprocessing of the published weights of ``architecture``; raises InputError if unknown."""
    import torchvision.models as library

    if architecture not in classifiers():
        raise unknown("torchvision architecture", architecture, classifiers())
    images = library.get_model_weights(architecture).DEFAULT.transforms()
    return Preprocessing(images.crop_size[0], tuple(images.mean), tuple(images.std))
