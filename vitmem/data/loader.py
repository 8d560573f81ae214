"""Batches of decoded images from worker processes, for images that are streamed or changed one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from vitmem.data.augmentation import Augmentation
from vitmem.data.streamed import Images, StreamedImages
from vitmem.errors import InputError
from vitmem.specs import seed_from

MOST_WORKERS = 16


class ReadImages(Dataset[Any]):
    """Image (C, H, W) uint8 at a row, changed by ``augmentation``.

    What is drawn for an image depends on ``seed``, ``epoch`` and its row alone, not on the worker. An image that cannot
    be read is the InputError that says why, as a worker would turn it into a traceback.
    """

    def __init__(self, images: Images, augmentation: Augmentation | None, seed: int, epoch: int) -> None:
        self.images = images
        self.augmentation = augmentation
        self.seed = seed
        self.epoch = epoch

    def __getitem__(self, row: int) -> Tensor | InputError:
        try:
            if self.augmentation is None:
                return self._image(row)
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed_from("augmentation", self.seed, self.epoch, row))
                return self.augmentation(self._image(row, whole=self.augmentation.cuts))
        except InputError as error:
            return error

    def _image(self, row: int, whole: bool = False) -> Tensor:
        """Return the image (C, h, w) at ``row``; a streamed one has its own size if it is to be ``whole``."""
        if isinstance(self.images, StreamedImages):
            return self.images.one(row, whole)
        return self.images[row]


class Parts(Sequence[list[int]]):
    """Batches of rows as lists, made when they are asked for."""

    def __init__(self, rows: Sequence[Tensor]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: Any) -> Any:
        return self._rows[number].tolist()


def loaded(
    images: Images,
    batches: Sequence[Tensor],
    augmentation: Augmentation | None,
    seed: int,
    epoch: int,
    device: torch.device,
) -> Iterator[Tensor]:
    """Yield the images (B, C, H, W) uint8 at each of ``batches``, rows (B,) int64, on ``device``.

    Raises InputError for an image that cannot be read.
    """
    cuda = device.type == "cuda"
    loader: DataLoader[Any] = DataLoader(
        ReadImages(images, augmentation, seed, epoch),
        batch_sampler=Parts(batches),
        num_workers=_workers(device),
        collate_fn=_stacked,
        pin_memory=cuda,
        generator=torch.Generator(),  # its own: a draw from the global one would change the dropout
    )
    for batch in loader:
        if isinstance(batch, InputError):
            raise batch
        yield batch.to(device, non_blocking=True)


def _workers(device: torch.device) -> int:
    """Return a worker process for each thread of this process; none beside a network that has one thread itself."""
    threads = torch.get_num_threads()
    return min(threads, MOST_WORKERS) if threads > 1 or device.type == "cuda" else 0


def _stacked(images: list[Tensor | InputError]) -> Tensor | InputError:
    for image in images:
        if isinstance(image, InputError):
            return image
    stacked: Tensor = default_collate(images)  # of a worker, in shared memory at once
    return stacked
