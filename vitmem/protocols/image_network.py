"""The network of a training on images, before it is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vitmem.bench.cells import ChosenModel, Training
from vitmem.data.noisy import NoisyImages
from vitmem.errors import InputError
from vitmem.kfac import model_fingerprint
from vitmem.models.base import ImageShape, VisionModel, architecture_of, build
from vitmem.models.normalisation import normalisation
from vitmem.models.start import classifier_of, start_from, trained_in
from vitmem.models.weights import read_weights
from vitmem.recipe import OVERRIDES
from vitmem.specs import digest, seed_from


def shape_of(noisy: NoisyImages) -> ImageShape:
    """Return the image shape and the number of classes for a network."""
    return ImageShape(noisy.data.channels, noisy.data.size, noisy.data.num_classes)


def network_of(training: Training, noisy: NoisyImages, data_dir: Path | None) -> VisionModel:
    """Return the network of a training before it is trained, with its initial weights, or one that came trained.

    With precision 64 its weights are float64, and so is what it makes of images of any precision. Raises InputError for
    a file of weights that are not those of the network.
    """
    model, shape, make = training.model, shape_of(noisy), _maker(training, noisy)
    network, shared = make(shape.num_classes), model.shared
    for file, load in ((shared.weights, start_from), (shared.trained, trained_in)):
        if file is not None:
            weights = read_weights(Path(file.checked(data_dir)))
            load(network, model.name, shape, weights, lambda classes: make(classes).net)
    if shared.normalisation is not None:
        network.reads = normalisation(model.name, shared.normalisation, shape)
    if training.recipe is not None and training.recipe.precision == "64":
        network.net.double().register_forward_pre_hook(lambda _net, args: (args[0].double(), *args[1:]))
    return network


def classifier_in(training: Training, noisy: NoisyImages) -> list[str]:
    """Return the names of the tensors of the classifier of a training's network; raises InputError for none."""
    make, classes = _maker(training, noisy), noisy.data.num_classes
    if not (found := classifier_of(make(classes).net, make(classes + 1).net)):
        raise InputError(
            f"recipe: 'freeze': no layer of model '{training.model.name}' has the number of classes as its size; leave "
            "'freeze' out"
        )
    return found


def from_outside(model: ChosenModel, network: VisionModel) -> dict[str, str]:
    """Return digests, by name, of the weights and the normalisation that ``network`` has from elsewhere, untrained."""
    found = {}
    if model.config.get("pretrained"):
        found["published weights"] = model_fingerprint(network.net)
    if model.shared.trained is not None:
        found["trained weights"] = model_fingerprint(network.net)
    if model.shared.normalisation == "published" and network.reads is not None:
        found["published normalisation"] = digest([network.reads.mean, network.reads.std])
    return found


def _maker(training: Training, noisy: NoisyImages) -> Callable[[int], VisionModel]:
    """Return the function that builds the network of a training for a number of classes."""
    model, shape = training.model, shape_of(noisy)
    recipe = training.recipe
    overrides = {name: value for name in OVERRIDES if (value := getattr(recipe, name, None)) is not None}
    entry = model.entry.model_copy(update=overrides)
    seed = seed_from("init", model.config, training.data.name, training.seed)
    return lambda classes: build(entry, replace(shape, num_classes=classes), seed, architecture_of(model.name))
