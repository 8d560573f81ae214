"""Images from files or from the rows of tables: decoded once and kept in memory, or streamed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vitmem.data.cache import cached, file_key
from vitmem.data.decode import decode_all
from vitmem.data.encoded import Encoded, ImageFiles, Parts, packed
from vitmem.data.sets import ImageData, ImageSet
from vitmem.data.streamed import Images, StreamedImages
from vitmem.files import check_readable, expand
from vitmem.specs import digest

# Keys of streamed files by the digest of their paths and states: a set is large, and is read once a process.
_KEYS: dict[str, str] = {}


@dataclass(frozen=True)
class Decoder:
    """How a data set is read: at ``size`` pixels (``None``: as its images are), ``streamed`` or decoded at once.

    The folder ``cache_dir`` has decoded images, and the encoded ones of tables that are streamed.
    """

    name: str
    cache_dir: Path
    size: int | None = None
    streamed: bool = False

    def data(self, files: Sequence[Path], settings: Sequence[Any], read: Callable[[], ImageData]) -> ImageData:
        """Return ``read()``, of decoded images from the cache when they are there.

        The key there is the content of ``files`` with ``settings``.
        """
        return read() if self.streamed else cached(self.cache_dir, self.name, file_key(files, *settings), read)

    def files(self, members: Sequence[Sequence[Path]]) -> ImageSet:
        """Return the images of each class, whose files are in ``members``."""
        files = [file for some in members for file in some]
        labels = torch.repeat_interleave(torch.arange(len(members)), torch.tensor([len(some) for some in members]))
        images: Images
        if self.streamed:
            images = self._streamed(ImageFiles(files), _key(files))
        else:
            images = decode_all(files, lambda i: str(files[i]), self.size)
        return ImageSet(images, labels, torch.arange(len(files)))

    def rows(
        self, parts: Callable[[], Parts], files: Sequence[Path], where: str, column: str
    ) -> tuple[Images, tuple[bytes, ...]]:
        """Return the images that ``parts()`` yields of ``column`` of ``files``, and the SHA-256 of each encoded one.

        ``where`` names the table in errors. Raises InputError for an image that cannot be read.
        """
        if self.streamed:
            path = expand(self.cache_dir) / f"packed-{_key(files, where, column)}.images"
            source = packed(path, parts, where, column)
            key = hashlib.sha256(source.digests.tobytes()).hexdigest()
            return self._streamed(source, key), tuple(row.tobytes() for row in source.digests)
        images = [image for part in parts() for image in part]
        digests = tuple(hashlib.sha256(i if isinstance(i, bytes) else i.read_bytes()).digest() for i in images)
        return decode_all(images, lambda i: f"{where}: row {i} of column '{column}'", self.size), digests

    def _streamed(self, source: Encoded, key: str) -> StreamedImages:
        assert self.size is not None
        return StreamedImages(source, torch.arange(len(source)), self.size, key, self.cache_dir)


def _key(files: Sequence[Path], *settings: Any) -> str:
    """Return the digest of the content of ``files`` and of ``settings``."""
    seen = digest([[_seen(file) for file in files], list(settings)])
    if seen not in _KEYS:
        _KEYS[seen] = file_key(files, *settings)
    return _KEYS[seen]


def _seen(file: Path) -> list[str | int]:
    """Return what tells a file that has changed since this process has read it.

    A copy may keep the size and the time of its content, but not the file number and the time of the last change of it.
    """
    check_readable(file, "a file of the data set")
    found = file.stat()
    return [os.path.abspath(file), found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
