"""The normalisation of the images that a network reads: published with its architecture, or named by the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vitmem.errors import InputError
from vitmem.models import timm as timm_models
from vitmem.models import torchvision as torchvision_models
from vitmem.models.base import ImageShape, Preprocessing
from vitmem.specs import AnyNormalisation

# Libraries with image preprocessing for their networks.
LIBRARIES: Mapping[str, Callable[[str], Preprocessing]] = {
    "timm": timm_models.preprocessing,
    "torchvision": torchvision_models.preprocessing,
}


def published(name: str) -> Preprocessing | None:
    """Return the preprocessing of the published weights of the model ``name``; ``None`` for one of no library."""
    library, _, architecture = name.partition("/")
    return LIBRARIES[library](architecture) if library in LIBRARIES and architecture else None


def normalisation(name: str, wanted: AnyNormalisation, shape: ImageShape) -> Preprocessing | None:
    """Return the ``wanted`` preprocessing of images of ``shape`` for the model ``name``; ``None`` for that of the data.

    Raises InputError for a model without published weights, and for numbers of another count of channels.
    """
    if wanted == "data":
        return None
    if wanted == "published":
        if (known := published(name)) is None:
            raise InputError(
                f"model '{name}': 'normalisation': it is of no library, so nothing is published; give imagenet, data "
                "or {mean: [...], std: [...]}"
            )
        return known
    if wanted == "imagenet":
        from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

        return Preprocessing(shape.size, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
    if len(wanted.mean) != shape.channels:
        raise InputError(
            f"model '{name}': 'normalisation': expected {shape.channels} numbers, one for each channel of the images, "
            f"got {len(wanted.mean)}"
        )
    return Preprocessing(shape.size, wanted.mean, wanted.std)
