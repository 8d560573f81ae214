"""A last batch of one image under batch normalisation: no image and no step is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from vitmem.data.module import NoisyImagesModule, batch_sizes
from vitmem.data.noisy import NoisyImages, add_noise
from vitmem.errors import InputError
from vitmem.models.base import VisionModel
from vitmem.recipe import Recipe
from vitmem.registry import NOISES
from vitmem.training.fit import steps, train


class Normalised(nn.Module):
    """A network of digits whose normalisation sees one value per image and channel; it notes its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.norm, self.head = nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 10)
        self.sizes: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.sizes.append(len(images))
        return self.head(self.norm(self.fc(images.flatten(1))).relu())


def some(noisy: NoisyImages, count: int) -> NoisyImages:
    train = noisy.data.train
    part = replace(train, images=train.images[:count], labels=train.labels[:count], index=train.index[:count])
    data = replace(noisy.data, train=part)
    return add_noise(data, NOISES.get("symmetric").parse({"rate": 0.2}, "noise"), seed=0)


@pytest.mark.parametrize(
    ("count", "size", "alone", "expected"),
    [
        (9, 4, True, [4, 4, 1]),
        (9, 4, False, [4, 3, 2]),
        (10, 4, False, [4, 4, 2]),
        (8, 4, False, [4, 4]),
        (5, 4, False, [3, 2]),
        (3, 2, False, [2, 1]),  # three images are no two batches of two
        (1, 4, False, [1]),
        (3, 1, False, [1, 1, 1]),
    ],
)
def test_sizes(count: int, size: int, alone: bool, expected: list[int]) -> None:
    assert batch_sizes(count, size, alone) == expected
    assert sum(expected) == count and len(expected) == steps(Recipe(epochs=1, batch_size=size), count)[1]


def test_every_image_is_trained_on_in_as_many_steps(noisy: NoisyImages, tmp_path: Path) -> None:
    model = VisionModel(Normalised(), blocks=(), layers=(), positions="all")
    train(model, some(noisy, 129), Recipe(epochs=2, batch_size=64, precision="32"), 0, tmp_path)
    assert model.net.sizes == [64, 33, 32] * 2
    data = NoisyImagesModule(some(noisy, 129), batch_size=64, seed=0, alone=False)
    assert sorted(torch.cat([rows for *_, rows in data.batches(0)]).tolist()) == list(range(129))


def test_layers_that_are_frozen_stay_so_when_the_curves_are_measured(noisy: NoisyImages, tmp_path: Path) -> None:
    net = Normalised()
    net.norm.eval()
    model = VisionModel(net, blocks=(), layers=(), positions="all")
    train(model, noisy, Recipe(epochs=2, batch_size=64, curve_every=1, precision="32"), 0, tmp_path)
    assert net.training and not net.norm.training and int(net.norm.num_batches_tracked) == 0


def test_a_network_without_batch_normalisation_keeps_its_batches(noisy: NoisyImages, tmp_path: Path) -> None:
    net = Normalised()
    net.norm = nn.LayerNorm(8)  # type: ignore[assignment]
    model = VisionModel(net, blocks=(), layers=(), positions="all")
    train(model, some(noisy, 129), Recipe(epochs=1, batch_size=64, precision="32"), 0, tmp_path)
    assert net.sizes == [64, 64, 1]


@pytest.mark.parametrize(("count", "size"), [(20, 1), (1, 8), (3, 2)])
def test_batches_that_cannot_be_normalised_are_one_sentence(
    count: int, size: int, noisy: NoisyImages, tmp_path: Path
) -> None:
    model = VisionModel(Normalised(), blocks=(), layers=(), positions="all")
    with pytest.raises(InputError, match=f"needs batches of at least two images, got batch_size {size}"):
        train(model, some(noisy, count), Recipe(epochs=1, batch_size=size, precision="32"), 0, tmp_path)
