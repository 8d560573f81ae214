"""Any classifier of torchvision, edited in the MLPs of its blocks (ViT, Swin, ConvNeXt), else convolutions (ResNet).

Its attention stores the weights of queries, keys and values outside linear layers, or uses the weight of a linear layer
without calling it, so no statistics of them can be collected.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from vitmem.errors import InputError, unknown
from vitmem.models.base import ImageShape, Preprocessing, VisionModel
from vitmem.models.libraries import Patterns, create
from vitmem.models.places import places
from vitmem.registry import MODELS


@MODELS.register("torchvision", version=2, summary="any torchvision classifier, as torchvision/<name>", family=True)
def torchvision(
    shape: ImageShape,
    architecture: str,
    *,
    arguments: dict[str, Any] | None = None,
    blocks: Patterns = None,
    layers: Patterns = None,
) -> VisionModel:
    """Return torchvision's classifier ``architecture`` for images of ``shape``, made with further ``arguments``.

    Edits apply to the MLPs of its blocks, else to convolutions, or to the matches of the patterns ``blocks`` and
    ``layers``. Raises InputError for an unknown architecture, one that cannot take the images (all read three
    channels), and one without an editable layer.
    """
    import torchvision.models as library

    if architecture not in classifiers():
        raise unknown("torchvision architecture", architecture, classifiers())
    name = f"torchvision/{architecture}"
    if shape.channels != 3:
        raise InputError(f"model '{name}': it reads images of 3 channels, got {shape.channels}")
    make = partial(library.get_model, architecture, weights=None)
    net = create(make, name, shape.size, "image_size", shape, {"num_classes": shape.num_classes}, arguments)
    editable = places(net, name, shape.channels, shape.size, blocks, layers, int(hasattr(net, "class_token")))
    return VisionModel(
        net,
        editable.blocks,
        editable.layers,
        layers_of=editable.layers_of,
        positions="cls" if editable.prefix_tokens else "all",
        prefix_tokens=editable.prefix_tokens,
    )


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
