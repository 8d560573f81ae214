"""Images from files by class: decoded once and kept in memory, or streamed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from vitmem.data.cache import cached, file_key
from vitmem.data.decode import decode_all
from vitmem.data.sets import ImageData, ImageSet
from vitmem.data.streamed import Images, Loading, StreamedImages, streams
from vitmem.specs import digest


@dataclass(frozen=True)
class Decoder:
    """How the files of a data set become images of ``size`` pixels; ``key`` is the digest of their content."""

    size: int
    key: str
    cache_dir: Path
    streamed: bool

    @classmethod
    def of(
        cls, files: Sequence[Path], settings: Sequence[Any], size: int, cache_dir: Path, loading: Loading | None
    ) -> Decoder:
        """Return the decoder of ``files``; ``settings`` are part of the key."""
        streamed = streams(loading, len(files), size)
        key = _content(tuple(files), digest(settings)) if streamed else file_key(files, *settings)
        return cls(size, key, cache_dir, streamed)

    def images(self, members: Sequence[Sequence[Path]]) -> ImageSet:
        """Return the images of each class, whose files are in ``members``."""
        files = [file for some in members for file in some]
        labels = torch.repeat_interleave(torch.arange(len(members)), torch.tensor([len(some) for some in members]))
        rows = torch.arange(len(files))
        images: Images
        if self.streamed:
            images = StreamedImages(files, rows, self.size, self.key, self.cache_dir)
        else:
            images = decode_all(files, lambda i: str(files[i]), self.size)
        return ImageSet(images, labels, rows)

    def data(self, read: Callable[[], ImageData]) -> ImageData:
        """Return ``read()``; decoded images come from the cache when they are there."""
        return read() if self.streamed else cached(self.cache_dir, "image_folder", self.key, read)


@cache
def _content(files: tuple[Path, ...], settings: str) -> str:
    """Return the digest of ``files``, read once a process: a set that is streamed is large."""
    return file_key(files, settings)
