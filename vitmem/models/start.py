"""Load the initial weights of a network from a file that has all of them except perhaps the classifier."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vitmem.lazy import torch
from vitmem.models.base import ImageShape, VisionModel
from vitmem.models.matching import check_shapes, match
from vitmem.models.weights import read_weights


def start_from(
    model: VisionModel, name: str, shape: ImageShape, file: Path, again: Callable[[int], torch.nn.Module]
) -> None:
    """Load the weights in ``file`` into ``model``, called ``name``, which was built for ``shape``.

    With no classifier in the file, or one for another number of classes, the model's own is kept; ``again`` builds the
    network for a number of classes. Raises InputError when any other weight is missing, unknown or of another shape.
    """
    net, weights = model.net, read_weights(file)
    other = again(shape.num_classes + 1).state_dict()
    classifier = [key for key, tensor in net.state_dict().items() if other[key].shape != tensor.shape]
    names = match(weights, net, name, optional=classifier).names
    own = net.state_dict()
    whole = all(key in names and weights.tensors[names[key]].shape == own[key].shape for key in classifier)
    leave = [] if whole else [key for key in own if key in classifier or _beside(key, classifier)]
    description = f"{name} for {shape.channels}x{shape.size}x{shape.size} images"
    net.load_state_dict(check_shapes(weights, names, net, description, leave), strict=False)


def _beside(key: str, classifier: list[str]) -> bool:
    """Return whether ``key`` belongs to the same layer as one of the ``classifier``."""
    return any(key.rpartition(".")[0] == one.rpartition(".")[0] for one in classifier)
