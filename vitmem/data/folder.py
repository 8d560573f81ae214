"""Any folder of images by class: ``train/<class>/*`` and ``val/<class>/*``, the layout of ImageNet.

Images are scaled (shorter side, then centre crop) and decoded once; the whole set is held in memory as uint8, 150 kB
per image at 224 pixels: for ImageNet, choose a subset by ``classes``. A folder of parquet files of ``train`` and
``val`` (or ``validation``, ``test``) is read as well. Hidden files and folders are skipped, links to folders followed;
files of other types are counted in the dataset's remarks.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vitmem.data.cache import cached, file_key
from vitmem.data.decode import SUFFIXES, decode_all
from vitmem.data.parquet import read_split
from vitmem.data.sets import ImageData, ImageSet, assemble
from vitmem.data.shards import find_split
from vitmem.errors import InputError, unknown
from vitmem.files import Walked, expand, same_name, subfolders, walk

NAME = "image_folder"
HELD_OUT = ("val", "validation", "test")


def read_folder(
    data_dir: Path | None, cache_dir: Path, folder: str, classes: tuple[str, ...] | None, size: int
) -> ImageData:
    """Return the images of ``folder`` inside ``data_dir`` at ``size`` pixels.

    ``classes`` selects classes by name and sets their order (``None``: all, sorted by name). Raises InputError for a
    missing folder or class, and for a class without images.
    """
    root = _root(folder, data_dir)
    parquet = find_split([root], "train"), find_split([root], *HELD_OUT)
    if all(parquet):
        key = file_key([*parquet[0], *parquet[1]], size, classes)
        return cached(cache_dir, NAME, key, lambda: _from_parquet(root, *parquet, classes, size))
    train = _subfolder(root, ("train",))
    held_out = _subfolder(root, HELD_OUT)
    inside = {split: _by_class(split) for split in (train, held_out)}
    names = _choose(sorted(inside[train]), classes, train)
    if classes is None:
        _check_equal(inside, train, held_out)
    walked = [[_images_of(by_class, name, split) for name in names] for split, by_class in inside.items()]
    splits = [[sorted(found.files) for found in members] for members in walked]
    files = [file for split in splits for members in split for file in members]
    counts = [[len(members) for members in split] for split in splits]
    data = cached(cache_dir, NAME, file_key(files, counts, size, names), lambda: _decode(splits, names, size))
    return replace(data, remarks=(*data.remarks, *_left_out([found for members in walked for found in members], root)))


def _by_class(split: Path) -> dict[str, Path]:
    """Return the folders of ``split`` by class name; raises InputError for a repeated name."""
    folders: dict[str, Path] = {}
    for folder in subfolders(split):
        name = same_name(folder.name)
        if name in folders:
            raise InputError(f"data '{NAME}': two folders in {split} have the name '{name}'; join them")
        folders[name] = folder
    return folders


def _check_equal(inside: Mapping[Path, Mapping[str, Path]], train: Path, held_out: Path) -> None:
    """Raise InputError for a class that is in only one of the splits."""
    for name in sorted(inside[train].keys() ^ inside[held_out].keys()):
        here, other = (train, held_out) if name in inside[train] else (held_out, train)
        raise InputError(
            f"data '{NAME}': class '{name}' is in {here} and not in {other}; add it, or choose others with 'classes'"
        )


def _left_out(walked: Sequence[Walked], root: Path) -> tuple[str, ...]:
    total = Walked((), sum((found.left_out for found in walked), Counter()))
    return (f"data '{NAME}': left out in {root}: {total.account()}",) if total.left_out else ()


def _root(folder: str, data_dir: Path | None) -> Path:
    if data_dir is None:
        raise InputError(f"data '{NAME}': expected --data-dir, the folder that contains '{folder}', got none")
    root = data_dir / expand(folder)
    if not os.path.isdir(root):
        raise InputError(f"data '{NAME}': expected a folder at {root}, found none; see 'folder' and --data-dir")
    return root


def _subfolder(root: Path, names: Sequence[str]) -> Path:
    for name in names:
        if os.path.isdir(root / name):
            return root / name
    raise InputError(f"data '{NAME}': expected a folder {' or '.join(names)} of classes in {root}, found none")


def _choose(found: Sequence[str], names: Sequence[str] | None, where: Path) -> tuple[str, ...]:
    """Return the names of ``names`` in that order, all of them among ``found``."""
    if not found:
        raise InputError(f"data '{NAME}': expected a folder for each class in {where}, found none")
    if names is None:
        return tuple(found)
    names = [same_name(name) for name in names]
    if not names or len(set(names)) < len(names):
        raise InputError(f"data '{NAME}': expected different class names in 'classes', got {list(names)}")
    if not set(names) & set(found):
        raise InputError(
            f"data '{NAME}': none of the {len(names)} 'classes' is in {where}, which has "
            f"{', '.join(found[:5])}{', ...' if len(found) > 5 else ''}"
        )
    for name in names:
        if name not in found:
            raise unknown(f"class in {where}:", name, found)
    return tuple(names)


def _images_of(by_class: Mapping[str, Path], name: str, split: Path) -> Walked:
    """Return the images of a class; raises InputError when there are none."""
    walked = walk(by_class[name], SUFFIXES) if name in by_class else Walked((), Counter())
    if not walked.files:
        rest = f", only {walked.account()}" if walked.left_out else ""
        raise InputError(f"data '{NAME}': expected images of class '{name}' in {split / name}, found none{rest}")
    return walked


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
    """Keep the images whose class has a new number in ``new_label`` (old K,), -1 for none.

    Further columns are labels if all their values are classes (noisy labels); others are dropped.
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
