"""Images that are decoded when they are read, for sets that do not fit in memory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from vitmem.data.decode import decode_all, decode_one
from vitmem.data.encoded import Encoded, Selected
from vitmem.files import expand, write_text, writing
from vitmem.specs import digest

Loading = Literal["memory", "stream"]
# The share of this machine's memory that decoded images may take when a suite does not say how they are loaded.
MEMORY_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class StreamedImages:
    """Images (N, 3, S, S) uint8 on disk: indexed and split like the tensor that they stand for.

    ``rows`` (N,) int64 are positions in ``source``. ``key`` is the digest of the content of the source; what takes a
    pass over the images is kept in ``cache_dir`` under it.
    """

    source: Encoded
    rows: Tensor
    size: int
    key: str
    cache_dir: Path
    dtype: ClassVar[torch.dtype] = torch.uint8
    ndim: ClassVar[int] = 4

    @property
    def shape(self) -> torch.Size:
        """The shape of the tensor that they stand for."""
        return torch.Size((len(self.rows), 3, self.size, self.size))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Tensor | slice | np.ndarray) -> Tensor:
        """Decode the images at ``rows``: (n, 3, S, S) uint8; raises InputError for an unreadable one."""
        some = Selected(self.source, self.rows[rows].tolist())
        return decode_all(some, some.name, self.size) if len(some) else torch.empty(0, *self.shape[1:]).byte()

    def split(self, count: int) -> Iterator[Tensor]:
        """Yield all images, ``count`` at a time, as (n, 3, S, S) uint8; the next ones are decoded meanwhile."""
        with ThreadPoolExecutor(1) as ahead:
            coming: Future[Tensor] | None = None
            for rows in torch.arange(len(self)).split(count) if len(self) else ():
                found, coming = coming, ahead.submit(self.__getitem__, rows)
                if found is not None:
                    yield found.result()
            if coming is not None:
                yield coming.result()

    def take(self, rows: Tensor) -> StreamedImages:
        """Return the images at ``rows`` (m,) int64, in that order; none is decoded."""
        return replace(self, rows=self.rows[rows])

    def one(self, row: int, whole: bool = False) -> Tensor:
        """Decode the image at ``row``: (3, S, S) uint8, or (3, h, w) at its own size if it is to be ``whole``."""
        row = int(self.rows[row])
        return decode_one(self.source[row], self.source.name(row), None if whole else self.size)

    @property
    def content(self) -> str:
        """A digest of the content of the images in their order."""
        return digest([self.key, self.size, hashlib.sha256(self.rows.numpy().tobytes()).hexdigest()])

    def kept(self, what: Any, compute: Callable[[], Any]) -> Any:
        """Return ``compute()``, plain JSON types, from the cache when it is there; ``what`` says what else it is of.

        Raises InputError when the cache cannot be written.
        """
        id = digest([what, self.content])
        path = expand(self.cache_dir) / f"streamed-{id}.json"
        try:
            found = json.loads(path.read_text())
            if found["digest"] == digest(found["value"]):
                return found["value"]
        except (OSError, ValueError, KeyError, TypeError):
            pass  # not there or damaged
        value = compute()
        with writing(path):
            write_text(path, json.dumps({"value": value, "digest": digest(value)}))
        return value


Images = Tensor | StreamedImages


def streams(loading: Loading | None, count: int, size: int) -> bool:
    """Return whether ``count`` images (3, size, size) are streamed: as ``loading`` says, or if they are too large."""
    if loading is not None:
        return loading == "stream"
    memory = _memory()
    return memory is not None and count * 3 * size**2 > MEMORY_SHARE * memory


def _memory() -> int | None:
    """Return the memory of this machine in bytes, ``None`` where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
