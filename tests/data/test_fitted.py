"""Images of one data set as a network of another reads them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from vitmem.data.fitted import fitted
from vitmem.errors import InputError


def drawn(*shape: int) -> torch.Tensor:
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def test_images_that_fit_are_as_they_were() -> None:
    images = drawn(3, 3, 8, 8)
    assert torch.equal(fitted(images, 3, 8, "x"), images)


def test_grey_is_repeated_and_colour_becomes_its_luminance() -> None:
    grey, colour = drawn(3, 1, 8, 8), drawn(3, 3, 8, 8)
    assert torch.equal(fitted(grey, 3, 8, "x"), torch.cat([grey] * 3, dim=1))
    for image, found in zip(colour, fitted(colour, 1, 8, "x"), strict=True):
        expected = np.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L"), dtype=int)
        assert np.abs(found[0].numpy().astype(int) - expected).max() <= 1


def test_larger_images_are_reduced_as_pillow_does() -> None:
    images = drawn(4, 1, 32, 32)
    for image, found in zip(images, fitted(images, 1, 28, "x"), strict=True):
        expected = np.asarray(Image.fromarray(image[0].numpy()).resize((28, 28), Image.Resampling.BILINEAR), dtype=int)
        assert np.abs(found[0].numpy().astype(int) - expected).max() <= 1
    assert fitted(images, 1, 28, "x").dtype == torch.uint8


def test_what_would_have_to_be_made_up_is_refused_with_what_is_needed() -> None:
    with pytest.raises(
        InputError, match=r"'small' have 8 pixels a side, the network reads 28, .* name data of 28 pixels"
    ):
        fitted(drawn(2, 1, 8, 8), 1, 28, "small")
    with pytest.raises(InputError, match=r"'x' have 4 channels, the network reads 3; name data with 3"):
        fitted(drawn(2, 4, 8, 8), 3, 8, "x")
