"""The network that a file of weights belongs to: its classes are read from the file, everything else is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import timm
from torch import Tensor, nn

from vitmem.errors import InputError, unknown
from vitmem.models import timm as timm_models
from vitmem.models import torchvision as torchvision_models
from vitmem.models.base import ImageShape, VisionModel, build
from vitmem.models.libraries import Preprocessing
from vitmem.registry import MODELS, Entry

# The libraries that say how their networks read images.
LIBRARIES: Mapping[str, Callable[[str], Preprocessing]] = {
    "timm": timm_models.preprocessing,
    "torchvision": torchvision_models.preprocessing,
}


def image_model(name: str) -> Entry:
    """Return the registered image model ``name``; raises InputError offering the nearest name."""
    try:
        entry = MODELS.get(name)
    except InputError:
        names = [f"timm/{x}" for x in timm.list_models()]
        names += [f"torchvision/{x}" for x in torchvision_models.classifiers()]
        raise unknown("model", name, [*names, *(entry.name for entry in MODELS.entries())]) from None
    if entry.info.get("modality", "image") != "image":
        raise InputError(
            f"model '{name}' is a language model, which is edited from its folder; see 'vitmem edit --help'"
        )
    if entry.info.get("family") and "/" not in name:
        raise InputError(f"model '{name}': expected the name of an architecture behind it, such as {name}/resnet18")
    return entry


def model_params(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of the model ``name``; of a library's, those it has not are arguments of the library's."""
    entry = image_model(name)
    if entry.info.get("family"):
        own = {key: value for key, value in given.items() if key in entry.params.model_fields}
        rest = {key: value for key, value in given.items() if key not in own}
        given = {**own, "arguments": rest} if rest else own
    return entry.parse(given, "--param").model_dump(exclude_defaults=True)


def preprocessing(
    name: str, size: int | None, mean: Sequence[float] | None, std: Sequence[float] | None
) -> Preprocessing:
    """Return how the model ``name`` reads images, with what is given instead of its library's.

    Raises InputError for a plug-in when something is missing: it does not say.
    """
    library, _, architecture = name.partition("/")
    if library in LIBRARIES and architecture:
        known = LIBRARIES[library](architecture)
        return Preprocessing(size or known.size, tuple(mean or known.mean), tuple(std or known.std))
    if size is None or mean is None or std is None:
        raise InputError(f"model '{name}': it does not say how it reads images; give --size, --mean and --std")
    return Preprocessing(size, tuple(mean), tuple(std))


def fitted(name: str, params: Mapping[str, Any], size: int, state: Mapping[str, Tensor], where: str) -> VisionModel:
    """Return the model ``name`` with the weights ``state`` by name, (n, ...) each, in the types that they have.

    Raises InputError, beginning with ``where``, when a weight is missing, too many, or of another shape.
    """
    entry = image_model(name)
    spec = entry.parse(params, "--param")

    def make(classes: int) -> VisionModel:
        return build(name, spec, ImageShape(3, size, classes), 0)

    model = make(_classes(name, [make(n).net for n in (2, 3)], state, where))
    _check(name, model.net, size, state, where)
    model.net.load_state_dict(dict(state), assign=True)
    model.net.eval().requires_grad_(False)
    return model


def _classes(name: str, nets: Sequence[nn.Module], state: Mapping[str, Tensor], where: str) -> int:
    """Return the length, in ``state``, of the first dimension that differs between a network of 2 and one of 3."""
    two, three = (net.state_dict() for net in nets)
    for key, tensor in two.items():
        for axis, (a, b) in enumerate(zip(tensor.shape, three[key].shape, strict=True)):
            if (a, b) == (2, 3):
                if key not in state:
                    raise InputError(f"{where}: no '{key}' in it, the classifier of {name}; is it another model's?")
                if state[key].ndim == tensor.ndim:
                    return state[key].shape[axis]
    raise InputError(f"model '{name}': none of its weights has a length that is the number of classes")


def _check(name: str, net: nn.Module, size: int, state: Mapping[str, Tensor], where: str) -> None:
    expected = net.state_dict()
    missing, extra = [k for k in expected if k not in state], [k for k in state if k not in expected]
    if missing or extra:
        found = [
            f"{len(keys)} {what} (first '{keys[0]}')"
            for keys, what in ((missing, "missing"), (extra, "unknown"))
            if keys
        ]
        raise InputError(
            f"{where}: not the weights of {name}: of {len(expected)} tensors {' and '.join(found)}; give the model "
            "that they were saved from, with --model and --param"
        )
    for key, tensor in expected.items():
        if tensor.shape != state[key].shape:
            raise InputError(
                f"{where}: '{key}' is {tuple(state[key].shape)}, that of {name} at {size} pixels is "
                f"{tuple(tensor.shape)}; give the image size that it was trained at with --size, or another --model"
            )
