"""A function that draws labels from a registered noise model, and pixels and probabilities for those that read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from vitmem.noise.base import NoiseContext, NoisyLabels, make
from vitmem.noise.pixels import Pixels
from vitmem.registry import NOISES

Draw = Callable[..., NoisyLabels]


@pytest.fixture
def draw() -> Draw:
    """Return ``draw(name, clean, classes=10, seed=0, dataset="x", context={...}, **params)``."""

    def drawn(
        name: str,
        clean: Any,
        classes: int = 10,
        seed: int = 0,
        dataset: str = "x",
        context: dict[str, Any] | None = None,
        **params: Any,
    ) -> NoisyLabels:
        known = NoiseContext(dataset, classes, **(context or {}))
        return make(NOISES.get(name).parse(params, "noise"), np.asarray(clean), known, seed)

    return drawn


@pytest.fixture
def pixels() -> Callable[..., Pixels]:
    """Return a function that draws ``count`` random images (count, C, size, size)."""

    def drawn(count: int, channels: int = 3, size: int = 8) -> Pixels:
        images = np.random.default_rng(11).integers(0, 256, (count, channels, size, size), dtype=np.uint8)
        scaled = images.transpose(1, 0, 2, 3).reshape(channels, -1) / 255
        return Pixels(images, scaled.mean(1), scaled.std(1))

    return drawn


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes arrays as ``clean.safetensors`` in ``tmp_path`` and gives the file's name."""

    def write(**arrays: NDArray[Any]) -> str:
        save_file(arrays, tmp_path / "clean.safetensors")
        return "clean.safetensors"

    return write
