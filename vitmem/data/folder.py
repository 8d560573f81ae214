"""Any folder of images by class: ``train/<class>/*`` and ``val/<class>/*``, as ImageNet is kept.

Images are scaled (shorter side, then the centre) and decoded once; the whole set is held in memory as
uint8, which is 150 kB an image at 224 pixels: for ImageNet, choose a subset by ``classes``. A folder
that holds ``train*.parquet`` and ``val*.parquet`` (or ``validation*``, ``test*``) is read as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from vitmem.data.cache import cached, file_key
from vitmem.data.decode import decode_all
from vitmem.data.parquet import find_split, read_split
from vitmem.data.sets import ImageData, ImageSet, assemble
from vitmem.errors import InputError, unknown

NAME = "image_folder"
HELD_OUT = ("val", "validation", "test")
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}


def image_folder(
    data_dir: Path | None,
    cache_dir: Path,
    *,
    folder: str,
    classes: tuple[str, ...] | None = None,
    size: int = 224,
) -> ImageData:
    """Return the images of ``folder`` inside ``data_dir``: a name, so that no path of a machine enters an id.

    ``classes`` chooses classes by name and gives their order (default: all, sorted by name). Raises
    InputError for a folder or class that is not there, and for a class without images.
    """
    root = _root(folder, data_dir)
    parquet = find_split([root], "train"), find_split([root], *HELD_OUT)
    if all(parquet):
        key = file_key([*parquet[0], *parquet[1]], size, classes)
        return cached(cache_dir, NAME, key, lambda: _from_parquet(root, *parquet, classes, size))
    train = _subfolder(root, ("train",))
    held_out = _subfolder(root, HELD_OUT)
    names = _choose(sorted(p.name for p in train.iterdir() if p.is_dir()), classes, train)
    splits = [[_images_of(split, name) for name in names] for split in (train, held_out)]
    files = [file for split in splits for members in split for file in members]
    return cached(cache_dir, NAME, file_key(files, size, names), lambda: _decode(splits, names, size))


def _root(folder: str, data_dir: Path | None) -> Path:
    if data_dir is None:
        raise InputError(f"data '{NAME}': expected --data-dir, the folder that '{folder}' lies in, got none")
    root = data_dir / folder
    if not root.is_dir():
        raise InputError(f"data '{NAME}': expected a folder at {root}, found none; see 'folder' and --data-dir")
    return root


def _subfolder(root: Path, names: Sequence[str]) -> Path:
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise InputError(f"data '{NAME}': expected a folder {' or '.join(names)} of classes in {root}, found none")


def _choose(found: Sequence[str], wanted: Sequence[str] | None, where: Path) -> tuple[str, ...]:
    """Return the names of ``wanted`` in that order, all of them among ``found``."""
    if not found:
        raise InputError(f"data '{NAME}': expected a folder for each class in {where}, found none")
    if wanted is None:
        return tuple(found)
    if not wanted or len(set(wanted)) < len(wanted):
        raise InputError(f"data '{NAME}': expected different class names in 'classes', got {list(wanted)}")
    if not set(wanted) & set(found):
        raise InputError(
            f"data '{NAME}': none of the {len(wanted)} 'classes' is in {where}, which has "
            f"{', '.join(found[:5])}{', ...' if len(found) > 5 else ''}"
        )
    for name in wanted:
        if name not in found:
            raise unknown(f"class in {where}:", name, found)
    return tuple(wanted)


def _images_of(folder: Path, name: str) -> list[Path]:
    inside = folder / name
    files = sorted(f for f in inside.rglob("*") if f.suffix.lower() in SUFFIXES) if inside.is_dir() else []
    if not files:
        raise InputError(f"data '{NAME}': expected images of class '{name}' in {inside}, found none")
    return files


def _decode(splits: list[list[list[Path]]], names: tuple[str, ...], size: int) -> ImageData:
    sets = []
    for split in splits:
        files = [file for members in split for file in members]
        labels = torch.repeat_interleave(torch.arange(len(names)), torch.tensor([len(m) for m in split]))
        pixels = decode_all(files, lambda i, files=files: str(files[i]), size)  # type: ignore[misc]
        sets.append(ImageSet(pixels, labels, torch.arange(len(files))))
    return assemble(NAME, sets[0], sets[1], names)


def _from_parquet(
    root: Path, train: list[Path], held_out: list[Path], classes: tuple[str, ...] | None, size: int
) -> ImageData:
    first, second = (read_split(files, size) for files in (train, held_out))
    if first.classes != second.classes:
        raise InputError(f"data '{NAME}': expected the same class names in both splits of {root}")
    names = _choose(first.classes, classes, root) if classes is not None else first.classes
    new_label = np.full(len(first.classes), -1)
    new_label[[first.classes.index(name) for name in names]] = np.arange(len(names))
    return assemble(NAME, _relabel(first.images, new_label), _relabel(second.images, new_label), names)


def _relabel(images: ImageSet, new_label: np.ndarray) -> ImageSet:
    """Keep the images whose class has a new number, in ``new_label`` (old K,) with -1 for none.

    Further columns are labels when all their values are classes (noisy labels); others are left out.
    """
    labels = torch.from_numpy(new_label)[images.labels]
    kept = images.take(torch.nonzero(labels >= 0).flatten())
    labelled = {
        name: values
        for name, values in kept.extra_labels.items()
        if len(values) and values.min() >= 0 and values.max() < len(new_label)
    }
    extra = {name: new_label[values] for name, values in labelled.items()}
    return ImageSet(kept.images, labels[labels >= 0], kept.index, extra)
