"""The LightningDataModule: uint8 images on the device, augmented there a batch at a time.

There are no worker processes and no copies from host to device within an epoch. What is random about
an epoch (order, crops, flips) is drawn at its start from a generator that depends on the seed and the
epoch alone, so that a run resumed at an epoch sees the batches it would have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from vitmem.data.augment import augmented, draw_corners, draw_mirrored, normalise
from vitmem.data.noisy import NoisyImages
from vitmem.specs import seed_from

Batch = tuple[Tensor, Tensor, Tensor]


class Epochs(Protocol):
    """What has ``count`` examples and gives the batches of any epoch, on several devices to each its share."""

    batch_size: int

    @property
    def count(self) -> int:
        """Number of training examples."""
        ...

    def batches(self, epoch: int, rank: int = 0, ranks: int = 1) -> Iterator[Any]:
        """Yield the batches of ``epoch``."""
        ...


class Batches:
    """The batches of whichever epoch ``epoch()`` says it is when the loop begins.

    Those of images are (images (B, C, H, W) float32, normalised and augmented; given labels (B,) int64; position
    in the training set (B,) int64), on the device of ``images``.
    """

    def __init__(self, module: Epochs, epoch: Callable[[], int], rank: int = 0, ranks: int = 1) -> None:
        self._module = module
        self._epoch = epoch
        self._rank = rank
        self._ranks = ranks

    def __len__(self) -> int:
        return -(-(self._module.count // self._ranks) // self._module.batch_size)

    def __iter__(self) -> Iterator[Any]:
        yield from self._module.batches(self._epoch(), self._rank, self._ranks)


def batch_sizes(count: int, batch_size: int, alone: bool = True) -> list[int]:
    """Return the sizes of the batches of ``count`` examples; no last one of a single example unless it may be alone.

    Their number is the same either way, and so is that of the steps.
    """
    whole, rest = divmod(count, batch_size)
    if rest == 1 and whole and batch_size > 1 and not alone:
        half = (batch_size + 1) // 2
        return [*[batch_size] * (whole - 1), batch_size + 1 - half, half]
    return [*[batch_size] * whole, *([rest] if rest else [])]


class NoisyImagesModule(LightningDataModule):
    """Training batches of ``noisy`` with crops padded by ``crop`` pixels and horizontal flips.

    ``device`` is where the images are kept (``None``: where the trainer runs). Every image is in every
    epoch once; the last batch may be smaller. Where it would be a single image and ``alone`` is false, as batch
    normalisation needs two, the last two batches are as large as each other. On several devices each takes its share
    of an epoch.
    """

    def __init__(
        self,
        noisy: NoisyImages,
        *,
        batch_size: int,
        seed: int,
        crop: int = 0,
        flip: bool = False,
        alone: bool = True,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.noisy = noisy
        self.batch_size = batch_size
        self.seed = seed
        self.crop = crop
        self.flip = flip
        self.alone = alone
        self.device = None if device is None else torch.device(device)
        self._resident: tuple[Tensor, Tensor] | None = None

    @property
    def count(self) -> int:
        """Number of training images."""
        return len(self.noisy.given)

    def setup(self, stage: str | None = None) -> None:
        """Move images and given labels to the device; safe to call again."""
        if self.device is None:
            self.device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if self._resident is None:
            self._resident = self.noisy.data.train.images.to(self.device), self.noisy.given.to(self.device)

    def teardown(self, stage: str | None = None) -> None:
        """Let go of what lies on the device."""
        self._resident = None

    def train_dataloader(self) -> Batches:
        """Return the batches, of the trainer's current epoch (of epoch 0 without a trainer)."""
        trainer = self.trainer
        if trainer is None:
            return Batches(self, lambda: 0)
        return Batches(self, lambda: trainer.current_epoch, trainer.global_rank, trainer.world_size)

    def batches(self, epoch: int, rank: int = 0, ranks: int = 1) -> Iterator[Batch]:
        """Yield the batches of ``epoch``; the same for the same seed and epoch, whatever went before."""
        self.setup()
        assert self._resident is not None
        images, given = self._resident
        mean, std = (t.to(images.device) for t in (self.noisy.data.mean, self.noisy.data.std))
        generator = torch.Generator().manual_seed(seed_from("epoch", self.seed, epoch))
        order = torch.randperm(self.count, generator=generator).to(images.device)
        corners = draw_corners(self.count, self.crop, generator).to(images.device)
        mirrored = draw_mirrored(self.count, generator).to(images.device)
        # several devices: every ranks-th image, the same number for each
        mine = slice(rank, self.count - self.count % ranks, ranks)
        sizes = batch_sizes(self.count // ranks, self.batch_size, self.alone)
        shares = (t[mine].split(sizes) for t in (order, corners, mirrored))
        for rows, corner, mirror in zip(*shares, strict=True):
            batch = augmented(images[rows], self.crop, corner, mirror if self.flip else None)
            yield normalise(batch, mean, std), given[rows], rows
