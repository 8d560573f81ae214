"""The images of a data set with the given labels of a noise model, the same for every caller."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vitmem.bench.cells import ChosenData, ChosenNoise, Training
from vitmem.bench.ids import Config
from vitmem.data.load import load_data
from vitmem.data.noisy import Halves, NoisyImages, add_noise
from vitmem.specs import seed_from


def noisy_images(
    data: ChosenData, noise: ChosenNoise, seed: int, data_dir: Path | None, cache_dir: Path
) -> NoisyImages:
    """Load the images and draw their given labels.

    Raises InputError for unreadable data and for noise that does not fit them.
    """
    named, shared = without_validation(data), data.shared
    images = load_data(
        data.entry,
        data_dir,
        cache_dir,
        train=shared.train,
        validation=shared.validation,
        seed=seed_from("subset", named, seed),
    )
    return add_noise(images, noise.entry, seed_from("noise", named, noise.config, seed), data_dir)


def as_trained(training: Training) -> ChosenData:
    """Return the data of a training, streamed if its recipe cuts parts from images at their own size.

    So what is cut does not depend on whether the images would fit in memory. Data without such a size have none of
    their own, or are not in files.
    """
    data, recipe = training.data, training.recipe
    cuts = recipe is not None and recipe.random_resized_crop is not None
    if not cuts or "loading" not in type(data.entry).model_fields or getattr(data.entry, "size", None) is None:
        return data
    return replace(data, entry=data.entry.model_copy(update={"loading": "stream"}))


def image_halves(noisy: NoisyImages, training: Training) -> Halves:
    """Return the selection and report halves of the images of a training, the same for every model."""
    return noisy.halves(seed_from("halves", without_validation(training.data), training.noise.config, training.seed))


def without_validation(data: ChosenData) -> Config:
    """Return a data set's config without the number of validation images, on which no seed depends."""
    return {k: v for k, v in data.config.items() if k != "validation"}
