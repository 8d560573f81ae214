"""Load the weights of a file into a network: those that its training starts from, or those of a trained network."""

from __future__ import annotations

import logging
from collections.abc import Callable

from vitmem.errors import InputError
from vitmem.files import short_name
from vitmem.lazy import torch
from vitmem.models.base import ImageShape, VisionModel
from vitmem.models.matching import check_shapes, length_of, match
from vitmem.models.weights import Weights

log = logging.getLogger(__name__)
# Builds a network again, for a number of classes.
Again = Callable[[int], "torch.nn.Module"]


def start_from(model: VisionModel, name: str, shape: ImageShape, weights: Weights, again: Again) -> None:
    """Load ``weights`` into ``model``, called ``name``, which was built for ``shape``.

    With no classifier among them, or one for another number of classes, the model's own is kept. Raises InputError when
    any other weight is missing, unknown or of another shape.
    """
    net, other = model.net, again(shape.num_classes + 1)
    sized, own = _sized(net, other), net.state_dict()
    names = match(weights, net, name, optional=sized).names
    whole = all(key in names and weights.tensors[names[key]].shape == own[key].shape for key in sized)
    leave = [] if whole else classifier_of(net, other)
    net.load_state_dict(check_shapes(weights, names, net, _description(name, shape), leave), strict=False)


def trained_in(model: VisionModel, name: str, shape: ImageShape, weights: Weights, again: Again) -> None:
    """Load all weights of a trained network, the classifier included, into ``model``, called ``name``.

    Prefixes that were taken off and tensors that were left out are logged. Raises InputError when a weight is missing,
    unknown or of another shape, or the number of classes is not that of ``shape``.
    """
    net, classes = model.net, shape.num_classes
    found = match(weights, net, name)
    got = length_of(weights, found.names, (net, again(classes + 1)), (classes, classes + 1))
    if got not in (0, classes):
        raise InputError(
            f"{short_name(weights.path)}: its classifier has {got} classes, the data have {classes}; give the data "
            "that it was trained on, or start a training from it with 'weights'"
        )
    net.load_state_dict(check_shapes(weights, found.names, net, _description(name, shape)), strict=False)
    if account := found.account(weights):
        log.info(account)


def classifier_of(net: torch.nn.Module, other: torch.nn.Module) -> list[str]:
    """Return the names of the tensors of the classifier of ``net``; ``other`` is the same for more classes.

    They are those whose shape has the number of classes, and the others of the same layers.
    """
    sized = _sized(net, other)
    layers = {layer for key in sized if (layer := key.rpartition(".")[0])}
    return [key for key in net.state_dict() if key in sized or key.rpartition(".")[0] in layers]


def _sized(net: torch.nn.Module, other: torch.nn.Module) -> list[str]:
    theirs = other.state_dict()
    return [key for key, tensor in net.state_dict().items() if theirs[key].shape != tensor.shape]


def _description(name: str, shape: ImageShape) -> str:
    return f"{name} for {shape.channels}x{shape.size}x{shape.size} images"
