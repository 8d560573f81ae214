"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): from parquet files, or from torchvision's download.

``--data-dir`` may contain ``cifar10/train.parquet`` and ``test.parquet``, or their shards (or be that folder), or the
folder that torchvision unpacks. Without it torchvision downloads into the cache folder. ``index`` is the order of the
files; only the training order is the same for all sources. The dataset must be complete: 50,000 and 10,000 images with
equal class counts.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from vitmem.data.cache import cached, file_key
from vitmem.data.decoder import Decoder
from vitmem.data.human_labels import find_human, read_human
from vitmem.data.parquet import read_split
from vitmem.data.sets import ImageData, ImageSet, assemble
from vitmem.data.shards import find_split
from vitmem.errors import InputError, one_line
from vitmem.files import expand

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10

# superclass of each of the 100 classes, as in the dataset's own coarse labels
# fmt: off
CIFAR100_COARSE = (
    4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11, 6, 11, 5, 10, 7,
    6, 13, 15, 3, 15, 0, 11, 1, 10, 12, 14, 16, 9, 11, 5, 5, 19, 8, 8, 15, 13, 14, 17, 18, 10,
    16, 4, 17, 4, 2, 0, 17, 4, 18, 17, 10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16,
    12, 9, 13, 15, 13, 16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14, 13,
)
# fmt: on
SUPERCLASSES = (
    *("aquatic_mammals", "fish", "flowers", "food_containers", "fruit_and_vegetables", "household_electrical_devices"),
    *("household_furniture", "insects", "large_carnivores", "large_man-made_outdoor_things"),
    *("large_natural_outdoor_scenes", "large_omnivores_and_herbivores", "medium_mammals", "non-insect_invertebrates"),
    *("people", "reptiles", "small_mammals", "trees", "vehicles_1", "vehicles_2"),
)
SIZE = 32
# Images per split.
COUNTS = (50_000, 10_000)


def by_superclass(data: ImageData) -> ImageData:
    """Return ``data`` of 100 classes with superclasses as labels, without columns of human labels."""
    assert data.coarse is not None
    table = torch.from_numpy(np.asarray(data.coarse, dtype=np.int64))
    train, validation = (
        replace(part, labels=table[part.labels], extra_labels={}) for part in (data.train, data.validation)
    )
    return replace(data, train=train, validation=validation, classes=SUPERCLASSES, coarse=None)


def read_cifar(name: str, num_classes: int, data_dir: Path | None, cache_dir: Path) -> ImageData:
    """Return the dataset ``name`` of ``num_classes`` classes: 50,000 training and 10,000 test images, (3, 32, 32).

    Raises InputError when it is missing, cannot be downloaded or is incomplete.
    """
    cache_dir = expand(cache_dir)
    folders = [] if data_dir is None else [data_dir / name, data_dir]
    train, test = (find_split(folders, split) for split in ("train", "test"))
    human = find_human(name, [*folders, cache_dir / name, cache_dir])
    if train and test:

        def decode() -> ImageData:
            data = _from_parquet(name, num_classes, train, test, Decoder(name, cache_dir))
            return _with_human(_whole(data, train[0].parent), human)

        return cached(cache_dir, name, file_key([*train, *test, *human]), decode)
    source = _source(name)
    root = _torchvision_root(name, source, data_dir, cache_dir)

    def unpack() -> ImageData:
        return _with_human(_whole(_from_torchvision(name, source, root, data_dir is None), root), human)

    # torchvision checks the MD5 of the archive, so its name identifies the content
    return cached(cache_dir, name, file_key(human, "torchvision", source.tgz_md5), unpack)


def _whole(data: ImageData, where: Path) -> ImageData:
    """Return ``data``; raises InputError unless it has CIFAR's numbers of images."""
    for split, part, expected in zip(("training", "test"), (data.train, data.validation), COUNTS, strict=True):
        counts = torch.bincount(part.labels, minlength=data.num_classes)
        each = expected // data.num_classes
        if len(part) != expected or int((counts != each).sum()):
            raise InputError(
                f"{where}: expected the {expected} {split} images of {data.name}, {each} per class, got {len(part)} "
                f"and {int(counts.min())} to {int(counts.max())} per class; fetch it again, or read a part as "
                "'image_folder'"
            )
    return data


def _from_parquet(name: str, num_classes: int, train: list[Path], test: list[Path], decoder: Decoder) -> ImageData:
    first, second = read_split(train, decoder), read_split(test, decoder)
    for files, split in ((train, first), (test, second)):
        height, width = split.images.images.shape[-2:]
        if len(split.classes) != num_classes or (height, width) != (SIZE, SIZE):
            raise InputError(
                f"{files[0]}: expected {name} with {num_classes} classes of {SIZE}x{SIZE} pixels, "
                f"got {len(split.classes)} classes of {width}x{height}"
            )
    if first.classes != second.classes:
        raise InputError(f"{test[0]}: expected the class names of {train[0].name}, got others")
    coarse = first.coarse
    if coarse is None and num_classes == len(CIFAR100_COARSE):
        coarse = np.array(CIFAR100_COARSE)
    return assemble(name, first.images, second.images, first.classes, coarse)


def _source(name: str) -> type[CIFAR10]:
    """Return torchvision's class; imported lazily, because it takes as much memory as the images."""
    datasets = importlib.import_module("torchvision.datasets")
    source: type[CIFAR10] = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
    return source


def _torchvision_root(name: str, source: type[CIFAR10], data_dir: Path | None, cache_dir: Path) -> Path:
    """Return the folder of torchvision's unpacked archive; raises InputError when it is missing."""
    if data_dir is None:
        return cache_dir / "downloads"
    for folder in (data_dir / name, data_dir):
        if os.path.isdir(folder / source.base_folder):
            return folder
    raise InputError(
        f"{name}: expected both train*.parquet and test*.parquet, or the folder {source.base_folder}, in "
        f"{data_dir / name} or {data_dir}; correct --data-dir, or leave it out to download"
    )


def _from_torchvision(name: str, source: type[CIFAR10], root: Path, download: bool) -> ImageData:
    try:
        root.mkdir(parents=True, exist_ok=True)
        # a complete unpacked folder needs no network
        train, test = (source(str(root), train=part, download=download) for part in (True, False))
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{name}: cannot {'download it into' if download else 'read it from'} {root} ({one_line(error)}); "
            "give a folder that has it with --data-dir"
        ) from None
    coarse = np.array(CIFAR100_COARSE) if len(train.classes) == len(CIFAR100_COARSE) else None
    return assemble(name, _image_set(train), _image_set(test), tuple(train.classes), coarse)


def _image_set(source: CIFAR10) -> ImageSet:
    pixels = torch.from_numpy(np.ascontiguousarray(source.data.transpose(0, 3, 1, 2)))  # (N, 3, 32, 32)
    return ImageSet(pixels, torch.tensor(source.targets), torch.arange(len(pixels)))


def _with_human(data: ImageData, human: list[Path]) -> ImageData:
    """Add the columns of the file of human labels, if any, to the training images."""
    if not human:
        return data
    extra = read_human(human[0], data.train.labels.numpy())
    return replace(data, train=replace(data.train, extra_labels={**data.train.extra_labels, **extra}))
