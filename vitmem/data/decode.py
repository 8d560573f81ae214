"""Encoded images (JPEG, PNG, WebP) to uint8 tensors of one size, on a few threads."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from vitmem.errors import InputError, one_line


def decode_all(sources: Sequence[bytes | Path], where: Callable[[int], str], size: int | None = None) -> Tensor:
    """Decode ``sources`` (files or their contents) to RGB, (N, 3, S, S) uint8.

    With ``size`` the shorter side is scaled to it and the centre cut out; without it all images must
    have the size of the first. ``where(i)`` names image i in the InputError for one that cannot be
    read or has another size.
    """
    # Pillow lets go of the interpreter lock while it decodes
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        first = _decode(sources[0], where(0), size)
        height, width, channels = first.shape
        out = np.empty((len(sources), channels, height, width), dtype=np.uint8)

        def place(i: int) -> None:
            pixels = _decode(sources[i], where(i), size)
            if pixels.shape != first.shape:
                rows, columns, _ = pixels.shape
                raise InputError(f"{where(i)}: expected {width}x{height} pixels as the first, got {columns}x{rows}")
            out[i] = pixels.transpose(2, 0, 1)

        for _ in pool.map(place, range(len(sources)), chunksize=1):
            pass
    return torch.from_numpy(out)


def decode_readable(
    sources: Sequence[bytes | Path], where: Callable[[int], str], size: int
) -> tuple[Tensor, dict[int, str]]:
    """Decode those of ``sources`` that can be read, at ``size`` as ``decode_all`` does: (n, 3, S, S) uint8, in order.

    Beside them, why each other one cannot, by its number; ``where(i)`` names image i in the reason.
    """
    out = np.empty((len(sources), 3, size, size), dtype=np.uint8)
    reasons: dict[int, str] = {}

    def place(i: int) -> None:
        try:
            out[i] = _decode(sources[i], where(i), size).transpose(2, 0, 1)
        except InputError as error:
            reasons[i] = str(error)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for _ in pool.map(place, range(len(sources)), chunksize=1):
            pass
    kept = [i for i in range(len(sources)) if i not in reasons]
    return torch.from_numpy(out[kept]), {i: reasons[i] for i in sorted(reasons)}


def _decode(source: bytes | Path, where: str, size: int | None) -> NDArray[np.uint8]:
    """Return one image as (H, W, 3) uint8."""
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            picture = image.convert("RGB")
    except UnidentifiedImageError:  # its text has the address of a buffer
        raise InputError(f"{where}: not a readable image (no known format); fetch the file again") from None
    except Exception as error:  # decoders raise what they like: torn files have come as seven kinds of error
        raise InputError(f"{where}: not a readable image ({one_line(error)}); fetch the file again") from None
    if size is not None and picture.size != (size, size):
        picture = _fit(picture, size)
    return np.asarray(picture)


def _fit(picture: Image.Image, size: int) -> Image.Image:
    """Scale the shorter side to ``size`` and cut the centre square out."""
    width, height = picture.size
    scale = size / min(width, height)
    width, height = max(size, round(width * scale)), max(size, round(height * scale))
    picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    return picture.crop((left, top, left + size, top + size))
