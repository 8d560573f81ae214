"""Any classifier of torchvision whose blocks have linear MLPs (ViT, Swin, ConvNeXt) or convolutions (ResNet).

Its attention keeps the weights of queries, keys and values outside of linear layers, or uses those of a linear layer
without calling it, so that no statistics of them can be collected: MLPs are what is edited.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import torchvision.models as library

from vitmem.errors import InputError, unknown
from vitmem.models.base import ImageShape, VisionModel
from vitmem.models.libraries import Preprocessing, blocks_of, create

# The linear layers of a block's MLP by their places in it: ``mlp`` of ViTs and Swins, ``block`` of ConvNeXts.
MLP_LAYERS = re.compile(r"^(.*?)\.((?:mlp|block)\.\d+)$")


def torchvision(
    shape: ImageShape, *, arguments: Mapping[str, Any] | None = None, architecture: str = ""
) -> VisionModel:
    """Return torchvision's classifier ``architecture`` for images of ``shape``, made with further ``arguments``.

    Raises InputError for an unknown architecture, one that cannot take the images (all read three channels), and one
    whose blocks have neither linear MLPs nor convolutions conv1, conv2, ...
    """
    if architecture not in classifiers():
        raise unknown("torchvision architecture", architecture, classifiers())
    name = f"torchvision/{architecture}"
    if shape.channels != 3:
        raise InputError(f"model '{name}': it reads images of 3 channels, got {shape.channels}")
    make = partial(library.get_model, architecture, weights=None)
    net = create(make, name, shape.size, "image_size", shape, {"num_classes": shape.num_classes}, arguments)
    blocks, layers = blocks_of(net, MLP_LAYERS)
    if not blocks:
        raise InputError(
            f"model '{name}': no block with a linear MLP or convolutions conv1, conv2, ... of one group; write a "
            "plug-in that names its blocks and layers"
        )
    token = hasattr(net, "class_token")
    return VisionModel(net, blocks, layers, positions="cls" if token else "all", prefix_tokens=int(token))


def classifiers() -> list[str]:
    """Return the names of the architectures that classify images."""
    names: list[str] = library.list_models(module=library)
    return names


def preprocessing(architecture: str) -> Preprocessing:
    """Return how the published weights of ``architecture`` read images; raises InputError for an unknown one."""
    if architecture not in classifiers():
        raise unknown("torchvision architecture", architecture, classifiers())
    images = library.get_model_weights(architecture).DEFAULT.transforms()
    return Preprocessing(images.crop_size[0], tuple(images.mean), tuple(images.std))
