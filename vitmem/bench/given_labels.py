"""The images of a data set with the labels that a noise model gives them, the same wherever they are asked for."""

from __future__ import annotations

from pathlib import Path

from vitmem.bench.subject import own
from vitmem.bench.suite import Config
from vitmem.data.load import load_data
from vitmem.data.noisy import Halves, NoisyImages, add_noise
from vitmem.registry import DATA, NOISES
from vitmem.specs import seed_from


def noisy_images(data: Config, noise: Config, seed: int, data_dir: Path | None, cache_dir: Path) -> NoisyImages:
    """Load the images and draw their given labels; ``data`` and ``noise`` are configs of a cell.

    Raises InputError for data that cannot be read and noise that cannot be drawn on them.
    """
    named = without_validation(data)
    images = load_data(
        DATA.get(data["name"]).parse(own(data, "name", "train", "validation"), "data"),
        data_dir,
        cache_dir,
        train=data.get("train"),
        validation=data.get("validation"),
        seed=seed_from("subset", named, seed),
    )
    model = NOISES.get(noise["name"]).parse(own(noise, "name"), "noise")
    return add_noise(images, model, seed_from("noise", named, noise, seed), data_dir)


def image_halves(noisy: NoisyImages, config: Config) -> Halves:
    """Return the halves of the images of a training's config that choose and report, the same for every model."""
    return noisy.halves(seed_from("halves", without_validation(config["data"]), config["noise"], config["seed"]))


def without_validation(data: Config) -> Config:
    """Return the part of a data set's config that seeds depend on: training images alone."""
    return {k: v for k, v in data.items() if k != "validation"}
