"""A folder of images without labels, including subfolders: pixels, and a digest of the files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from vitmem.data.decode import SUFFIXES, decode_readable
from vitmem.data.sets import check_differ
from vitmem.data.split import some_of
from vitmem.errors import InputError
from vitmem.files import file_digest, short_name, walk


@dataclass(frozen=True)
class Unlabelled:
    """``images`` (n, 3, S, S) uint8, the SHA-256 of their files in this order, and the ``broken`` files.

    ``left_out`` is a text that counts the other files in the folder.
    """

    images: Tensor
    sha256: str
    broken: tuple[Path, ...]
    left_out: str = ""


def unlabelled(folder: Path, size: int, count: int | None, seed: int, skip_broken: bool = False) -> Unlabelled:
    """Return the images of ``folder`` at ``size`` pixels (shorter side, then centre crop), sorted by path.

    ``count`` of them are drawn by ``seed``; ``None`` takes all. Raises InputError for a folder that is missing, has no
    images or fewer than ``count``, for images that are all the same, and for images that cannot be decoded, naming the
    first: with ``skip_broken`` those are left out, unless there are no others.
    """
    files, left_out = _files(folder)
    if count is not None:
        files = [
            files[i] for i in some_of(len(files), count, seed, f"--count: {folder} has {len(files)} images").tolist()
        ]
    images, reasons = decode_readable(files, lambda i: str(files[i]), size)
    if reasons and (not skip_broken or not len(images)):
        more = f" (and {len(reasons) - 1} more of {len(files)})" if len(reasons) > 1 else ""
        hint = "" if len(images) == 0 else "; or leave such images out with --skip-broken"
        raise InputError(f"{next(iter(reasons.values()))}{more}{hint}")
    check_differ(images, f"--images: {short_name(folder)}")
    good = [file for i, file in enumerate(files) if i not in reasons]
    return Unlabelled(images, _digest(good), tuple(files[i] for i in reasons), left_out)


def grey(images: Tensor) -> Tensor:
    """Return the luminance (n, 1, S, S) uint8 of ``images`` (n, 3, S, S) uint8; grey ones keep their values."""
    red, green, blue = images.double().unbind(1)
    return (0.299 * red + 0.587 * green + 0.114 * blue).round().to(images.dtype)[:, None]


def _files(folder: Path) -> tuple[list[Path], str]:
    """Return the images, and a text on the left-out files."""
    if not os.path.isdir(folder):
        raise InputError(f"--images: no such folder: {short_name(folder)}; expected one with images in it")
    walked = walk(folder, SUFFIXES)
    if not walked.files:
        rest = f" ({walked.account()})" if walked.left_out else ""
        raise InputError(f"--images: expected images ({', '.join(sorted(SUFFIXES))}) in {folder}, found none{rest}")
    return list(walked.files), walked.account()


def _digest(files: Sequence[Path]) -> str:
    """Return the SHA-256 of the SHA-256 of each file: it depends on their order, not on their names."""
    state = hashlib.sha256()
    for file in files:
        state.update(bytes.fromhex(file_digest(file)))
    return state.hexdigest()
