"""Images as float32 vectors for image-dependent noise: standardised, at most 32 pixels wide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

# The vector of a 224-pixel image, and so each of its projections, would have 150,528 entries.
THUMBNAIL = 32
CHUNK = 1000


class Images(Protocol):
    """Images (n, C, H, W) uint8: an array, or what reads those at some rows when it is indexed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The four sizes."""
        ...

    def __getitem__(self, rows: Any, /) -> Any:
        """Return the images at ``rows`` (m,)."""
        ...


@dataclass(frozen=True)
class Pixels:
    """The images (n, C, H, W) uint8, ``mean`` and ``std`` of the training set's channels, (C,), where white is 1."""

    images: Images
    mean: NDArray[np.floating]
    std: NDArray[np.floating]

    @property
    def length(self) -> int:
        """Number of entries d of the vector of one image."""
        channels, height, width = self.images.shape[1:]
        return channels * min(height, THUMBNAIL) * min(width, THUMBNAIL)

    def vectors(self, rows: NDArray[np.integer]) -> Iterator[tuple[NDArray[np.integer], NDArray[np.float32]]]:
        """Yield parts of ``rows`` (m,) with their vectors (part, d): un-augmented, float32, standardised by channel.

        Larger images are area-averaged down to 32 x 32. One part is held at a time.
        """
        height, width = (_averages(size, min(size, THUMBNAIL)) for size in self.images.shape[2:])
        mean, std = (np.asarray(v, dtype=np.float32)[:, None, None] for v in (self.mean, self.std))
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            images: NDArray[Any] = (np.asarray(self.images[part]).astype(np.float32) / 255 - mean) / std
            if len(height) < images.shape[2]:
                images = height @ images
            if len(width) < images.shape[3]:
                images = images @ width.T
            yield part, images.reshape(len(part), -1)


def _averages(size: int, out: int) -> NDArray[np.float32]:
    """Return (out, size): row i has the share of each of ``size`` pixels in the i-th of ``out`` equal areas."""
    edges = np.linspace(0, size, out + 1)
    left, right = np.arange(size), np.arange(1, size + 1)
    overlap = np.minimum(edges[1:, None], right) - np.maximum(edges[:-1, None], left)
    return (overlap.clip(min=0) * out / size).astype(np.float32)
