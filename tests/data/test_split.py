"""A random part of a data set: of all of it, each image once, the same for the same seed."""

from __future__ import annotations

import pytest
import torch

from vitmem.data.module import MOST, NoisyImagesModule
from vitmem.data.noisy import NoisyImages, add_noise
from vitmem.data.sets import ImageSet, assemble
from vitmem.data.split import some_of
from vitmem.errors import InputError
from vitmem.registry import NOISES


def test_a_random_part() -> None:
    part = some_of(1000, 60, 0, "part")
    assert len(part.unique()) == 60 and torch.equal(part, part.sort().values)
    assert all(int(((part >= 100 * k) & (part < 100 * (k + 1))).sum()) for k in range(10))
    assert torch.equal(part, some_of(1000, 60, 0, "part")) and not torch.equal(part, some_of(1000, 60, 1, "part"))
    assert torch.equal(some_of(5, 5, 0, "part"), torch.arange(5))
    with pytest.raises(InputError, match="part: expected a number from 1 to 5, got 6"):
        some_of(5, 6, 0, "part")


def test_curves_look_at_all_classes_of_sorted_images() -> None:
    count = 2 * MOST + 500
    labels = torch.arange(count) * 10 // count  # sorted by class, as a folder of images is
    images = ImageSet(torch.zeros(count, 1, 2, 2, dtype=torch.uint8), labels, torch.arange(count))
    data = assemble("sorted", images, images, tuple("0123456789"))
    noisy: NoisyImages = add_noise(data, NOISES.get("none").parse({}, "noise"), 0)
    train, held = NoisyImagesModule(noisy, batch_size=1, seed=0).looked_at()
    assert len(train) == len(held) == MOST
    assert set(labels[train].tolist()) == set(labels[held].tolist()) == set(range(10))
