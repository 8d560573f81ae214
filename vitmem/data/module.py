"""The LightningDataModule: uint8 images on the device, cropped and flipped there a batch at a time.

Images that are streamed, or changed one by one, come from the worker processes of a loader. What is random about an
epoch (order, crops, flips) is drawn at its start from a generator that depends on the seed and the epoch alone, so that
a run resumed at an epoch sees the batches it would have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from vitmem.data.augment import augmented, draw_corners, draw_mirrored, normalise
from vitmem.data.augmentation import Augmentation, Mixing
from vitmem.data.loader import loaded
from vitmem.data.noisy import NoisyImages
from vitmem.data.shares import Share
from vitmem.data.split import some_of
from vitmem.data.streamed import Images, StreamedImages
from vitmem.specs import seed_from

Batch = tuple[Tensor, Tensor, Tensor]
# Curves look at all wrong labels and at this many of the other images and of the validation images, by so many at once.
MOST, AT_ONCE = 2000, 500


class Batches:
    """``count`` batches, as ``batches()`` yields them each time the loop begins."""

    def __init__(self, count: int, batches: Callable[[], Iterator[Any]]) -> None:
        self._count = count
        self._batches = batches

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        yield from self._batches()  # asked for with the first batch: an iterator may be made before the epoch is known


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

    Each image is first changed by ``augmentation``; ``mixing`` mixes those of a batch with their labels. ``device`` is
    where the images are kept (``None``: where the trainer runs). Every image is in every
    epoch once; the last batch may be smaller. Where it would be a single image and ``alone`` is false, as batch
    normalisation needs two, the last two batches are as large as each other. This process reads its ``share`` of each
    batch (``None``: all). The curves look at images of ``shown`` (``None``: of ``noisy``), on every device at
    the same ones.
    """

    def __init__(
        self,
        noisy: NoisyImages,
        *,
        batch_size: int,
        seed: int,
        shown: NoisyImages | None = None,
        crop: int = 0,
        flip: bool = False,
        alone: bool = True,
        augmentation: Augmentation | None = None,
        mixing: Mixing | None = None,
        share: Share | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.noisy = noisy
        self.shown = shown or noisy
        self.batch_size = batch_size
        self.seed = seed
        self.crop = crop
        self.flip = flip
        self.alone = alone
        self.augmentation = augmentation
        self.mixing = mixing
        self.share = share or Share()
        self.device = None if device is None else torch.device(device)
        self._resident: tuple[Images, Tensor] | None = None

    @property
    def count(self) -> int:
        """Number of training images."""
        return len(self.noisy.given)

    @property
    def weights(self) -> list[float]:
        """The weight of each batch of an epoch in the loss of its optimizer step."""
        return self.share.weights(batch_sizes(self.count, self.batch_size, self.alone))

    def setup(self, stage: str | None = None) -> None:
        """Move images and given labels to the device; safe to call again."""
        if self.device is None:
            self.device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if self._resident is None:
            images = self.noisy.data.train.images
            # a worker process reads no image on a GPU
            if isinstance(images, Tensor) and self.augmentation is None:
                images = images.to(self.device)
            self._resident = images, self.noisy.given.to(self.device)

    def teardown(self, stage: str | None = None) -> None:
        """Let go of what lies on the device."""
        self._resident = None

    def train_dataloader(self) -> Batches:
        """Return the batches, of the trainer's current epoch (of epoch 0 without a trainer).

        A batch is (images (B, C, H, W) float32, normalised and augmented; given labels and positions (B,) int64).
        """
        trainer = self.trainer
        return Batches(len(self.weights), lambda: self.batches(trainer.current_epoch if trainer else 0))

    def looked_at(self) -> tuple[Tensor, Tensor]:
        """Return the positions of the training images and of the validation images that the curves look at, (n,) each.

        They are the same ones every time: all wrong labels, and a random part of the others.
        """
        noisy = self.shown.noisy
        clean = torch.nonzero(~noisy).flatten()
        train = torch.cat([torch.nonzero(noisy).flatten(), clean[_some(len(clean))]])
        return train, _some(len(self.shown.data.validation))

    def val_dataloader(self) -> list[Batches]:
        """Return what the curves look at: batches of training images, then of validation images if there are any.

        A batch is (images (B, C, H, W) float32, normalised; given labels, true labels and positions (B,) int64); the
        given labels of validation images are the true ones.
        """
        train, held = self.looked_at()
        loaders = [self._looked(self.shown.data.train.images, self.shown.given, self.shown.true, train)]
        if len(held):
            validation = self.shown.data.validation
            loaders.append(self._looked(validation.images, validation.labels, validation.labels, held))
        return loaders

    def _looked(self, images: Images, given: Tensor, true: Tensor, positions: Tensor) -> Batches:
        parts, data = positions.split(AT_ONCE), self.shown.data

        def batches() -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
            self.setup()
            for rows in parts:
                yield normalise(images[rows].to(self.device), data.mean, data.std), given[rows], true[rows], rows

        return Batches(len(parts), batches)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield the share in the batches of ``epoch``; the same for the same seed and epoch, whatever went before.

        What is drawn for an image does not depend on the number of shares.
        """
        self.setup()
        assert self._resident is not None
        given = self._resident[1]
        mean, std = (t.to(given.device) for t in (self.noisy.data.mean, self.noisy.data.std))
        generator = torch.Generator().manual_seed(seed_from("epoch", self.seed, epoch))
        order = torch.randperm(self.count, generator=generator)
        corners = draw_corners(self.count, self.crop, generator).to(given.device)
        mirrored = draw_mirrored(self.count, generator).to(given.device)
        sizes = batch_sizes(self.count, self.batch_size, self.alone)
        read = [rows[mine] for rows in order.split(sizes) for mine, _ in self.share.of(len(rows))]
        pixels = self._pixels(epoch, read)
        drawn = (t.split(sizes) for t in (order.to(given.device), corners, mirrored))
        for number, (rows, corner, mirror) in enumerate(zip(*drawn, strict=True)):
            for mine, _ in self.share.of(len(rows)):
                some = rows[mine]
                batch = augmented(next(pixels), self.crop, corner[mine], mirror[mine] if self.flip else None)
                images, labels = normalise(batch, mean, std), given[some]
                yield (*(self.mixing(images, labels, epoch, number) if self.mixing else (images, labels)), some)

    def _pixels(self, epoch: int, batches: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield the images at ``batches``, rows (B,) int64 each, on the device: (B, C, H, W) uint8."""
        assert self._resident is not None
        images, given = self._resident
        if isinstance(images, StreamedImages) or self.augmentation is not None:
            yield from loaded(images, batches, self.augmentation, self.seed, epoch, given.device)
        else:
            yield from (images[rows.to(given.device)] for rows in batches)


def _some(total: int) -> Tensor:
    """Return the positions of ``total`` images that the curves look at: a random part, files may be sorted."""
    return some_of(total, min(total, MOST), 0, "curves") if total else torch.arange(0)
