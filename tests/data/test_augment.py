"""Batched augmentation against a loop over images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vitmem.data.augment import crop, draw_corners, draw_mirrored, flip, normalise


def pictures(count: int = 17, channels: int = 3, size: int = 9) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, channels, size, size), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("pad", [1, 4])
def test_crop_is_that_of_a_loop(pad: int) -> None:
    images = pictures()
    corners = draw_corners(len(images), pad, torch.Generator().manual_seed(1))
    expected = []
    for image, (top, left) in zip(images.numpy(), corners.tolist(), strict=True):
        framed = np.pad(image, ((0, 0), (pad, pad), (pad, pad)))
        expected.append(framed[:, top : top + 9, left : left + 9])
    assert np.array_equal(crop(images, pad, corners).numpy(), np.stack(expected))


def test_flip_is_that_of_a_loop() -> None:
    images = pictures()
    mirrored = draw_mirrored(len(images), torch.Generator().manual_seed(2))
    assert 0 < mirrored.sum() < len(images)
    looped = [i.flip(-1) if m else i for i, m in zip(images, mirrored, strict=True)]
    expected = torch.stack(looped)
    assert torch.equal(flip(images, mirrored), expected)


def test_the_centre_corner_leaves_images_as_they_are() -> None:
    images = pictures()
    assert torch.equal(crop(images, 2, torch.full((len(images), 2), 2)), images)


def test_every_shift_is_equally_likely() -> None:
    corners = draw_corners(45_000, 1, torch.Generator().manual_seed(0))
    assert corners.min() == 0 and corners.max() == 2
    counts = torch.bincount(corners[:, 0] * 3 + corners[:, 1], minlength=9)
    assert (counts - 5000).abs().max() < 5 * 5000**0.5


def test_normalise() -> None:
    images = pictures()
    mean, std = torch.tensor([0.1, 0.5, 0.9]), torch.tensor([0.2, 0.3, 1.0])
    expected = (images.double() / 255 - mean.double()[:, None, None]) / std.double()[:, None, None]
    out = normalise(images, mean, std)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=2e-6)
