"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): 70,000 grey images of clothes, 28x28, MIT licence.

``--data-dir`` may contain its four files (``train-images-idx3-ubyte.gz`` and so on, compressed or not) in
``fashion_mnist``, in ``fashion-mnist`` or in torchvision's ``FashionMNIST/raw``, or be that folder. Without it the
files of Debian's package ``dataset-fashion-mnist`` are read if installed; otherwise torchvision downloads them.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import os
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vitmem.data.cache import cached, file_key
from vitmem.data.sets import ImageData, ImageSet, assemble
from vitmem.errors import InputError, one_line
from vitmem.files import check_readable, expand

# SHA-256 of the uncompressed content of each published file.
CONTENT = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
SIZE = 28
# An IDX file starts with its magic number and one number per dimension, four bytes each.
IMAGE_HEADER, LABEL_HEADER = 16, 8
PLACES = ("fashion_mnist", "fashion-mnist", "FashionMNIST/raw", "")
PACKAGE = Path("/usr/share/datasets/fashion-mnist")


def read_fashion_mnist(data_dir: Path | None, cache_dir: Path) -> ImageData:
    """Return Fashion-MNIST: 60,000 training and 10,000 test images of 10 classes, (1, 28, 28).

    Raises InputError when its files are missing or differ from the published ones.
    """
    cache_dir = expand(cache_dir)
    files = _files(data_dir, cache_dir)
    return cached(cache_dir, "fashion_mnist", file_key(files), lambda: _read(files))


def _files(data_dir: Path | None, cache_dir: Path) -> list[Path]:
    if data_dir is None:
        return _found(PACKAGE) or _found(cache_dir / "downloads" / "FashionMNIST" / "raw") or _downloaded(cache_dir)
    for place in PLACES:
        if files := _found(data_dir / place):
            return files
    raise InputError(
        f"fashion_mnist: expected the files {', '.join(CONTENT)} (packed as .gz or not) in {data_dir / PLACES[0]} or "
        f"{data_dir}; correct --data-dir, or leave it out to download"
    )


def _found(folder: Path) -> list[Path]:
    """Return the four files in ``folder``, none unless all exist."""
    candidates = [[folder / name, folder / f"{name}.gz"] for name in CONTENT]
    files = [next((file for file in some if os.path.isfile(file)), None) for some in candidates]
    return [file for file in files if file is not None] if all(files) else []


def _downloaded(cache_dir: Path) -> list[Path]:
    # imported lazily: it takes as much memory as the images, and existing files do not need it
    source = importlib.import_module("torchvision.datasets").FashionMNIST
    root = cache_dir / "downloads"
    try:
        root.mkdir(parents=True, exist_ok=True)
        source(str(root), download=True)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"fashion_mnist: cannot download it into {root} ({one_line(error)}); give a folder that has it with "
            "--data-dir, or install Debian's package dataset-fashion-mnist"
        ) from None
    return _found(root / "FashionMNIST" / "raw")


def _read(files: list[Path]) -> ImageData:
    content = dict(zip(CONTENT, map(_content, files), strict=True))
    train, test = (
        _split(content[f"{part}-images-idx3-ubyte"], content[f"{part}-labels-idx1-ubyte"]) for part in ("train", "t10k")
    )
    return assemble("fashion_mnist", train, test, CLASSES)


def _content(file: Path) -> bytes:
    """Return the uncompressed content of ``file``; raises InputError when it differs from the published one."""
    check_readable(file, "a file of Fashion-MNIST")
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{file}: not a whole gzip file ({one_line(error)}); fetch it again") from None
    if hashlib.sha256(content).hexdigest() != CONTENT[file.name.removesuffix(".gz")]:
        raise InputError(f"{file}: expected Fashion-MNIST as it was published, got other content; fetch it again")
    return content


def _split(images: bytes, labels: bytes) -> ImageSet:
    pixels: NDArray[np.uint8] = np.frombuffer(images, np.uint8, offset=IMAGE_HEADER).reshape(-1, 1, SIZE, SIZE).copy()
    targets = np.frombuffer(labels, np.uint8, offset=LABEL_HEADER).astype(np.int64)
    return ImageSet(torch.from_numpy(pixels), torch.from_numpy(targets), torch.arange(len(targets)))
