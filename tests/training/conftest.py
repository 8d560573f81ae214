"""A small training problem: 200 digits with a fifth of the labels wrong, and a ViT with dropout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vitmem.data.load import load_data
from vitmem.data.noisy import NoisyImages, add_noise
from vitmem.models.base import ImageShape, VisionModel, build
from vitmem.registry import DATA, MODELS, NOISES


@pytest.fixture(scope="session")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> NoisyImages:
    cache: Path = tmp_path_factory.mktemp("cache")
    data = load_data(DATA.get("digits").parse({}, "data"), None, cache, train=200, validation=50, seed=0)
    return add_noise(data, NOISES.get("symmetric").parse({"rate": 0.2}, "noise"), seed=0)


@pytest.fixture
def new_model() -> Callable[[], VisionModel]:
    params = MODELS.get("vit").parse({"patch_size": 4, "width": 24, "depth": 2, "heads": 2, "dropout": 0.1}, "model")
    return lambda: build(params, ImageShape(1, 8, 10), seed=1)
