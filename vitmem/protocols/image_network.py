"""The untrained network of a training on images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vitmem.bench.cells import Training
from vitmem.data.noisy import NoisyImages
from vitmem.models.base import ImageShape, VisionModel, architecture_of, build
from vitmem.models.start import start_from
from vitmem.recipe import OVERRIDES
from vitmem.specs import seed_from


def shape_of(noisy: NoisyImages) -> ImageShape:
    """Return the image shape and the number of classes for a network."""
    return ImageShape(noisy.data.channels, noisy.data.size, noisy.data.num_classes)


def network_of(training: Training, noisy: NoisyImages, data_dir: Path | None) -> VisionModel:
    """Return the network of a training before it is trained, with its initial weights.

    With precision 64 its weights are float64, and so is what it makes of images of any precision.
    """
    model, shape = training.model, shape_of(noisy)
    recipe = training.recipe
    overrides = {name: value for name in OVERRIDES if (value := getattr(recipe, name, None)) is not None}
    entry = model.entry.model_copy(update=overrides)
    seed = seed_from("init", model.config, training.data.name, training.seed)

    def make(classes: int) -> VisionModel:
        return build(entry, replace(shape, num_classes=classes), seed, architecture_of(model.name))

    network = make(shape.num_classes)
    if (weights := model.shared.weights) is not None:
        start_from(network, model.name, shape, Path(weights.checked(data_dir)), lambda classes: make(classes).net)
    if recipe is not None and recipe.precision == "64":
        network.net.double().register_forward_pre_hook(lambda _net, args: (args[0].double(), *args[1:]))
    return network
