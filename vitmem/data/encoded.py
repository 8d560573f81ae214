"""Encoded images on disk: each in a file of its own, or all of a split in one file of the cache."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from vitmem.errors import InputError
from vitmem.files import readable, write_whole, writing

# Some encoded images at a time: their contents, or files that have them.
Parts = Iterable[Sequence[bytes | Path]]


class ImageFiles:
    """Images in files of their own.

    The paths are one array: Python objects in a list would be copied into the memory of each worker process that reads
    them, because their reference counts change.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._paths = np.array([os.fsencode(file) for file in files], dtype=np.bytes_)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, row: int) -> Path:
        return Path(os.fsdecode(self._paths[row]))

    def name(self, row: int) -> str:
        """Return the name of the image at ``row`` for errors."""
        return str(self[row])


@dataclass(frozen=True, eq=False)
class PackedImages:
    """Images one after the other in the file ``path`` of the cache.

    ``ends`` (N,) int64 are the positions of their ends in it, ``digests`` (N, 32) uint8 the SHA-256 of each. ``where``
    and ``column`` name their source in errors.
    """

    path: Path
    ends: NDArray[np.int64]
    digests: NDArray[np.uint8]
    where: str
    column: str

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, row: int) -> bytes:
        """Return the content of the image at ``row``; raises InputError when it is not what was written."""
        start = int(self.ends[row - 1]) if row else 0
        with readable(self.path, "images in the cache"), self.path.open("rb") as file:
            file.seek(start)
            content = file.read(int(self.ends[row]) - start)
        if hashlib.sha256(content).digest() != self.digests[row].tobytes():
            raise InputError(f"{self.path}: damaged at image {row}; remove this file, and it is written anew")
        return content

    def name(self, row: int) -> str:
        """Return the name of the image at ``row`` for errors."""
        return f"{self.where}: row {row} of column '{self.column}'"


Encoded = ImageFiles | PackedImages


@dataclass(frozen=True)
class Selected(Sequence[bytes | Path]):
    """The ``rows`` of ``images``, each read when it is asked for."""

    images: Encoded
    rows: Sequence[int]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> bytes | Path:  # type: ignore[override]
        return self.images[self.rows[number]]

    def name(self, number: int) -> str:
        """Return the name of an image for errors."""
        return self.images.name(self.rows[number])


def packed(path: Path, parts: Callable[[], Parts], where: str, column: str) -> PackedImages:
    """Return the images that ``parts()`` yields from the file ``path``, which is written when it is not there.

    A part is held in memory at a time. Ends and digests are in a safetensors file beside ``path``, with a digest of
    both; a damaged one is written anew. Raises InputError for an image that cannot be read, and when the files cannot
    be written.
    """
    index = path.with_suffix(".safetensors")
    if (found := _index(path, index)) is None:
        ends, digests = array("q"), bytearray()

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:
                for image in (image for part in parts() for image in part):
                    content = image if isinstance(image, bytes) else _content(image)
                    file.write(content)
                    ends.append(file.tell())
                    digests.extend(hashlib.sha256(content).digest())

        with writing(path):
            write_whole(path, write)
            found = {"ends": np.array(ends), "digests": np.frombuffer(digests, np.uint8).reshape(-1, 32)}
            found["digest"] = _digest(found)
            write_whole(index, lambda temporary: save_file(found, temporary))
    return PackedImages(path, found["ends"], found["digests"], where, column)


def _index(path: Path, index: Path) -> dict[str, NDArray[Any]] | None:
    """Return the ends and digests of the images in ``path``, ``None`` unless both files are whole and belong together.

    The images are compared with their digests when one is read: a set of images can be too large to be read once more.
    """
    try:
        found = load_file(index)
        whole = np.array_equal(found["digest"], _digest(found)) and path.stat().st_size == found["ends"][-1]
        return found if whole else None
    except (OSError, SafetensorError, ValueError, TypeError, KeyError, IndexError):
        return None


def _digest(found: dict[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """Return the SHA-256 of types, shapes and values of ``ends`` (N,) and ``digests`` (N, 32), as (32,) uint8."""
    state = hashlib.sha256()
    for name in ("ends", "digests"):
        state.update(f"{name} {found[name].dtype} {found[name].shape} ".encode() + found[name].tobytes())
    return np.frombuffer(state.digest(), np.uint8)


def _content(file: Path) -> bytes:
    with readable(file, "an image"):
        return file.read_bytes()
