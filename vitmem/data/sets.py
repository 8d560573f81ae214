"""Common format of all sources: images as uint8, labels, and the position in the original set."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitmem.data.streamed import Images, StreamedImages
from vitmem.errors import InputError
from vitmem.specs import digest

# Replaces the standard deviation of a constant channel; for pixels in [0, 1] it is at most 0.5.
FLAT = 1.0
# Images of up to 64 pixels that are read at a time; of larger ones as many as take the same memory.
CHUNK, PIXELS = 1000, 3 * 64 * 64


@dataclass(frozen=True)
class ImageSet:
    """One split: ``images`` (N, C, H, W) uint8, in memory or streamed, ``labels`` (N,) int64, ``index`` (N,) int64.

    ``index`` is the position in the original set, kept by ``take``. ``extra_labels`` has further labels of the same
    images by name, each (N,).
    """

    images: Images
    labels: Tensor
    index: Tensor
    extra_labels: Mapping[str, NDArray[np.integer]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check shapes, types and lengths."""
        count = len(self.images)
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise InputError(
                f"images: expected uint8 of shape (N, C, H, W), got {self.images.dtype} of {tuple(self.images.shape)}"
            )
        for name, values in (("labels", self.labels), ("index", self.index)):
            if values.dtype != torch.int64 or values.ndim != 1:
                got = f"{values.dtype} of {tuple(values.shape)}"
                raise InputError(f"{name}: expected int64 of shape (N,), one per image, got {got}")
        lengths = {"labels": len(self.labels), "index": len(self.index)}
        lengths |= {name: len(values) for name, values in self.extra_labels.items()}
        for name, length in lengths.items():
            if length != count:
                raise InputError(f"{name}: expected {count} values, one per image, got {length}")

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: Tensor) -> ImageSet:
        """Return the images at ``rows`` (m,) int64, in that order."""
        extra = {name: values[rows.numpy()] for name, values in self.extra_labels.items()}
        streamed = isinstance(self.images, StreamedImages)
        images = self.images.take(rows) if streamed else self.images[rows]
        return ImageSet(images, self.labels[rows], self.index[rows], extra)


@dataclass(frozen=True)
class ImageData:
    """A dataset: two splits, class names and normalisation.

    ``mean`` and ``std`` are those of all training pixels, (C,) float32, in units where white is 1; ``coarse`` is the
    superclass of each class, (K,), or ``None``. ``remarks`` are sentences for the user about left-out files and
    suspicious content. ``files`` are the names of all images of the original training set below the folder of their
    classes, in its order, UTF-8, if they are files; ``total`` is their number, ``None`` where it is unknown.
    """

    name: str
    train: ImageSet
    validation: ImageSet
    classes: tuple[str, ...]
    coarse: NDArray[np.integer] | None
    mean: Tensor
    std: Tensor
    remarks: tuple[str, ...] = ()
    files: NDArray[np.bytes_] | None = None
    total: int | None = None

    def __post_init__(self) -> None:
        """Reject labels without a class name, and repeated names."""
        if len(set(self.classes)) < len(self.classes):
            double = next(name for name in self.classes if self.classes.count(name) > 1)
            raise InputError(f"data '{self.name}': two classes have the name '{double[:80]}'; give each its own")
        for split, part in (("training", self.train), ("validation", self.validation)):
            if len(part) and (part.labels.min() < 0 or part.labels.max() >= self.num_classes):
                got = f"{int(part.labels.min())} to {int(part.labels.max())}"
                raise InputError(
                    f"data '{self.name}': expected {split} labels 0 to {self.num_classes - 1}, one per class name, "
                    f"got {got}"
                )

    @property
    def channels(self) -> int:
        """Number of colour channels C."""
        return int(self.train.images.shape[1])

    @property
    def size(self) -> int:
        """Height of the images in pixels (they are square)."""
        return int(self.train.images.shape[2])

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return len(self.classes)

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of the SHA-256 of all pixels and true labels; kept in the cache of streamed images."""
        parts = self.train, self.validation
        streamed = [part.images for part in parts if isinstance(part.images, StreamedImages)]
        if not streamed:
            return self._fingerprint()
        labels = [part.labels.tolist() + part.index.tolist() for part in parts]
        of = ["fingerprint", self.name, self.classes, digest(labels), *(images.content for images in streamed)]
        return str(streamed[0].kept(of, self._fingerprint))

    def _fingerprint(self) -> str:
        state = hashlib.sha256(repr((self.name, self.classes)).encode())
        for part in (self.train, self.validation):
            for tensor in (part.images, part.labels, part.index):
                state.update(repr(tuple(tensor.shape)).encode())
                for some in tensor.split(_chunk(part.images)):
                    state.update(some.contiguous().numpy().data)
        return state.hexdigest()[:16]


def channel_statistics(images: Images) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel of ``images`` (N, C, H, W) uint8, in [0, 1] units.

    Those of streamed images are kept in the cache.
    """
    if not isinstance(images, StreamedImages):
        return _channel_statistics(images)
    mean, std = images.kept("channels", lambda: [values.tolist() for values in _channel_statistics(images)])
    return torch.tensor(mean), torch.tensor(std)


def _channel_statistics(images: Images) -> tuple[Tensor, Tensor]:
    """Sum in float64 over chunks of images, so that the result does not depend on the size of the set."""
    channels, chunk = images.shape[1], _chunk(images)
    total, squares = torch.zeros(channels, dtype=torch.float64), torch.zeros(channels, dtype=torch.float64)
    for part in images.split(chunk):
        pixels = part.double().div_(255)
        total += pixels.sum(dim=(0, 2, 3))
        squares += pixels.square_().sum(dim=(0, 2, 3))
    count = max(math.prod(images.shape) // max(channels, 1), 1)
    mean = total / count
    std = (squares / count - mean**2).clamp_min(0).sqrt()
    # a constant channel is not rescaled, to avoid division by zero
    return mean.float(), torch.where(std > 1e-6, std, torch.full_like(std, FLAT)).float()


def flat_remark(std: Tensor, where: str) -> tuple[str, ...]:
    """Return a sentence, prefixed with ``where``, about constant channels if others vary.

    ``std`` (C,) is that of ``channel_statistics``.
    """
    flat = torch.nonzero(std == FLAT).flatten().tolist()
    if not 0 < len(flat) < len(std):
        return ()
    which = ", ".join(str(number) for number in flat)
    return (f"{where}: no variation in channel {which} of {len(std)}; was the colour lost?",)


def check_differ(images: Images, where: str, kind: str = "") -> None:
    """Raise InputError, prefixed with ``where``, if two or more ``images`` (N, C, H, W) are all the same."""
    if len(images) > 1 and all(bool((part == images[:1]).all()) for part in images.split(_chunk(images))):
        which = f"{len(images)} {kind} images" if kind else f"{len(images)} images"
        raise InputError(f"{where}: all {which} are the same; check the files that were read")


def _chunk(images: Images) -> int:
    """Return the number of images to read at a time."""
    return max(1, min(CHUNK, CHUNK * PIXELS // max(math.prod(images.shape[1:]), 1)))


def assemble(
    name: str,
    train: ImageSet,
    validation: ImageSet,
    classes: tuple[str, ...],
    coarse: NDArray[np.integer] | None = None,
) -> ImageData:
    """Return the dataset with the normalisation of its training images; ``coarse`` (K,) are superclasses."""
    mean, std = channel_statistics(train.images)
    return ImageData(name, train, validation, classes, coarse, mean, std)
