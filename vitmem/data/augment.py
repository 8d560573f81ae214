"""Augmentation of whole batches on their device, without a loop over images.

Random numbers are drawn on the CPU, so that crops and flips are the same on every device.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn.functional import pad as pad_images


def crop(images: Tensor, pad: int, corner: Tensor) -> Tensor:
    """Cut the window at ``corner`` (B, 2) from ``images`` (B, C, H, W) padded with ``pad`` zeros.

    A corner is (top, left) in [0, 2 * pad]; (pad, pad) is the image itself.
    """
    height, width = images.shape[-2:]
    framed = pad_images(images, (pad, pad, pad, pad))
    windows = framed.unfold(2, height, 1).unfold(3, width, 1)  # view (B, C, 2 pad + 1, 2 pad + 1, H, W)
    rows = torch.arange(len(images), device=images.device)
    return windows[rows, :, corner[:, 0], corner[:, 1]]  # (B, C, H, W)


def flip(images: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror ``images`` (B, C, H, W) left to right where ``mirrored`` (B,) is true."""
    return torch.where(mirrored[:, None, None, None], images.flip(-1), images)


def augmented(images: Tensor, pad: int, corner: Tensor, mirrored: Tensor | None) -> Tensor:
    """Return ``images`` (B, C, H, W) cropped at ``corner`` (B, 2) if ``pad`` > 0, and ``mirrored`` (B,) if given."""
    if pad:
        images = crop(images, pad, corner)
    return images if mirrored is None else flip(images, mirrored)


def draw_corners(count: int, pad: int, generator: Generator) -> Tensor:
    """Draw ``count`` corners for ``crop``, (count, 2) int64 on the CPU."""
    return torch.randint(0, 2 * pad + 1, (count, 2), generator=generator)


def draw_mirrored(count: int, generator: Generator) -> Tensor:
    """Draw a fair coin for each of ``count`` images, (count,) bool on the CPU."""
    return torch.rand(count, generator=generator) < 0.5


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return uint8 ``images`` (B, C, H, W) as float32 with the channel statistics ``mean``, ``std`` (C,)."""
    scale = (1 / (255 * std)).to(images.device)[:, None, None]
    shift = (mean / std).to(images.device)[:, None, None]
    return images.float().mul_(scale).sub_(shift)
