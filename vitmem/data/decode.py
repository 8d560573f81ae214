"""Decode images (JPEG, PNG, WebP and others) to uint8 tensors of one size, on a few threads.

EXIF orientation is applied. Of an animation the first frame is read. Transparency is dropped: a pixel has the colour
stored in the file, as in torchvision. 16-bit grey values are divided by 257, so that white stays white; values without
a known range (32-bit integers, floats) are rejected.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError, features
from torch import Tensor

from vitmem.errors import InputError, one_line
from vitmem.files import check_readable

# Recognised image suffixes; files whose codec Pillow lacks are skipped and counted.
CODECS = {".webp": "webp", ".avif": "avif", ".jp2": "jpg_2000"}
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"}
    | {suffix for suffix, codec in CODECS.items() if features.check(codec)}
)
# Decoded formats, whatever the suffix: none for which Pillow runs another program (EPS: Ghostscript).
Image.init()  # formats must be registered to be chosen by name
KNOWN = {"JPEG", "PNG", "BMP", "GIF", "TIFF", "PPM", "WEBP", "AVIF", "JPEG2000"}
FORMATS = tuple(sorted(KNOWN & set(Image.OPEN)))
# Formats in which Pillow's 32-bit integers are 16 bits in the file.
SIXTEEN_BITS = ("PNG", "PPM")
# TIFF tags; Pillow inverts 8-bit values in which 0 is white, but not 16-bit ones.
BITS, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0


def decode_all(sources: Sequence[bytes | Path], where: Callable[[int], str], size: int | None = None) -> Tensor:
    """Decode ``sources`` (files or their contents) to RGB, (N, 3, S, S) uint8.

    With ``size`` the shorter side is scaled to it and the centre is cropped; without it all images must have the size
    of the first. ``where(i)`` names image i in the InputError for an unreadable image or one of another size.
    """
    # Pillow releases the interpreter lock while it decodes
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


def decode_one(source: bytes | Path, where: str, size: int | None = None) -> Tensor:
    """Decode ``source`` to RGB, (3, H, W) uint8, with ``size`` (3, size, size).

    ``where`` names the image in the InputError for an unreadable one.
    """
    # as torchvision's own, stored row by row of pixels: a batch is copied once, when its images are stacked
    return torch.from_numpy(_decode(source, where, size).copy()).permute(2, 0, 1)


def decode_readable(
    sources: Sequence[bytes | Path], where: Callable[[int], str], size: int
) -> tuple[Tensor, dict[int, str]]:
    """Decode the readable ``sources`` at ``size`` like ``decode_all``: (n, 3, S, S) uint8, in order.

    Also returns the reason for each unreadable one, by number; ``where(i)`` names image i in the reason.
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
    if isinstance(source, Path):
        check_readable(source, "an image", "fetch the file again")
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
            picture = _rgb(_upright(image), image, where)
    except InputError:
        raise
    except UnidentifiedImageError:  # its text contains the address of a buffer
        raise InputError(f"{where}: not a readable image (no known format); fetch the file again") from None
    except Exception as error:  # decoders raise many types of errors for truncated files
        raise InputError(f"{where}: not a readable image ({one_line(error)}); fetch the file again") from None
    if size is not None and picture.size != (size, size):
        picture = _fit(picture, size, where)
    return np.asarray(picture)


def _upright(image: Image.Image) -> Image.Image:
    image.load()  # already applies the orientation of a TIFF
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF data does not affect the pixels
        return image
    return ImageOps.exif_transpose(image) if orientation in range(2, 9) else image


def _rgb(image: Image.Image, opened: Image.Image, where: str) -> Image.Image:
    """Return ``image`` in RGB, 8 bits per channel; ``convert`` alone clips larger values at 255.

    ``opened`` is the image as read from its file, with the tags of a TIFF.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and opened.format in SIXTEEN_BITS):
        tags = getattr(opened, "tag_v2", {})
        grey = np.asarray(image).astype(np.float64) * (255 / (2 ** int(tags.get(BITS, (16,))[0]) - 1))
        grey = 255 - grey if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else grey
        return Image.fromarray(grey.round().clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        kind = "32-bit integers" if image.mode == "I" else "floats"
        raise InputError(f"{where}: its pixels are {kind} with an unknown value for white; save it with 8 or 16 bits")
    return image.convert("RGB")


def _fit(picture: Image.Image, size: int, where: str) -> Image.Image:
    """Scale the shorter side to ``size`` and crop the centre square; raises InputError for a strip too long."""
    width, height = picture.size
    scale = size / min(width, height)
    width, height = max(size, round(width * scale)), max(size, round(height * scale))
    if Image.MAX_IMAGE_PIXELS and width * height > Image.MAX_IMAGE_PIXELS:
        strip = f"{picture.width}x{picture.height}"
        raise InputError(f"{where}: a strip of {strip} pixels, too long to be scaled to {size}")
    picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    return picture.crop((left, top, left + size, top + size))
