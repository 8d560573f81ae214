"""The network of a weights file: its number of classes is read from the file, everything else is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import timm
from torch import Tensor, nn

from vitmem.entries import Model
from vitmem.errors import InputError, unknown
from vitmem.models import torchvision as torchvision_models
from vitmem.models.base import ImageShape, Preprocessing, VisionModel, architecture_of, build
from vitmem.models.matching import Match, check_shapes, length_of, match
from vitmem.models.normalisation import published
from vitmem.models.weights import Weights
from vitmem.registry import MODELS


def image_model(name: str) -> type[Model]:
    """Return the registered image model ``name``; raises InputError suggesting the nearest name."""
    try:
        entry = MODELS.get(name)
    except InputError:
        names = [f"timm/{x}" for x in timm.list_models()]
        names += [f"torchvision/{x}" for x in torchvision_models.classifiers()]
        raise unknown("model", name, [*names, *(entry.name for entry in MODELS.entries())]) from None
    if "image" not in entry.protocols:
        raise InputError(
            f"model '{name}' is a language model, which is edited from its folder; see 'vitmem edit --help'"
        )
    if entry.family and "/" not in name:
        raise InputError(f"model '{name}': expected the name of an architecture behind it, such as {name}/resnet18")
    return entry


def model_params(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of the model ``name``; unknown ones of a library's model are passed to the library."""
    entry = image_model(name)
    if entry.family:
        own = {key: value for key, value in given.items() if key in entry.model_fields}
        rest = {key: value for key, value in given.items() if key not in own}
        given = {**own, "arguments": rest} if rest else own
    return entry.parse(given, "--param").model_dump(exclude_defaults=True)


def preprocessing(
    name: str, size: int | None, mean: Sequence[float] | None, std: Sequence[float] | None
) -> Preprocessing:
    """Return the image preprocessing of the model ``name``, overridden by the given values.

    Raises InputError for a plug-in, which has no default, when a value is missing.
    """
    if (known := published(name)) is not None:
        return Preprocessing(size or known.size, tuple(mean or known.mean), tuple(std or known.std))
    if size is None or mean is None or std is None:
        raise InputError(f"model '{name}': it does not say how it reads images; give --size, --mean and --std")
    return Preprocessing(size, tuple(mean), tuple(std))


@dataclass(frozen=True)
class Fitted:
    """A model and the weights of a file, in the file's dtypes, with their names in the file."""

    model: VisionModel
    match: Match
    state: Mapping[str, Tensor]
    shape: ImageShape

    def load(self) -> None:
        """Load the weights of the file into the network, in their dtypes."""
        self.model.net.load_state_dict(dict(self.state), assign=True, strict=False)


def fitted(name: str, params: Mapping[str, Any], size: int, weights: Weights) -> Fitted:
    """Return the model ``name`` with ``weights``, which determine its numbers of classes and channels.

    Raises InputError when a weight is missing, unexpected, or of another shape.
    """
    entry = image_model(name)
    spec = entry.parse(params, "--param")

    def make(classes: int, channels: int = 3) -> VisionModel:
        return build(spec, ImageShape(channels, size, classes), 0, architecture_of(name))

    two, three = make(2).net, make(3).net
    matched = match(weights, two, name)
    classes = length_of(weights, matched.names, (two, three), (2, 3))
    if not classes:
        raise InputError(f"model '{name}': none of its weights has the number of classes as its length")
    channels = _channels(weights, matched.names, two)
    shape = ImageShape(channels, size, classes)
    model = make(classes, channels)
    state = check_shapes(weights, matched.names, model.net, f"{name} at {size} pixels")
    result = Fitted(model, matched, state, shape)
    result.load()
    model.net.eval().requires_grad_(False)
    return result


def _channels(weights: Weights, names: Mapping[str, str], net: nn.Module) -> int:
    """Return the number of input channels of the file's first layer; ``net`` has 3."""
    for key, tensor in net.state_dict().items():
        if tensor.ndim == 4 and tensor.shape[1] == 3 and key in names:
            stored = weights.tensors[names[key]]
            return int(stored.shape[1]) if stored.ndim == 4 else 3
    return 3
