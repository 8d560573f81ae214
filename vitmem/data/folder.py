"""Any folder of images by class: ``train/<class>/*`` and ``val/<class>/*``, the layout of ImageNet.

Without ``val`` (or ``validation``, ``test``), and in a folder of the classes alone, a share of the images is held out
by the digest of their file names. Images are scaled (shorter side, then centre crop). They are decoded once and held in
memory as uint8, 150 kB per image at 224 pixels; a set that takes too much is streamed: decoded whenever it is read. A
folder of parquet files of ``train`` and ``val`` is read as well. Hidden files and folders are skipped, links to folders
followed; files of other types are counted in the dataset's remarks.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vitmem.data.decode import SUFFIXES
from vitmem.data.decoder import Decoder
from vitmem.data.parquet import count_rows, read_split
from vitmem.data.sets import ImageData, ImageSet, assemble
from vitmem.data.shards import find_split, splits_in
from vitmem.data.split import HELD_OUT_SHARE, apart, check_no_validation, held_apart, held_out_remark
from vitmem.data.streamed import Loading, streams
from vitmem.errors import InputError, unknown
from vitmem.files import Walked, expand, hidden, same_name, subfolders, walk

NAME = "image_folder"
HELD_OUT = ("val", "validation", "test")
# Names of folders that are splits in any spelling, not classes.
SPLITS = {*HELD_OUT, "train", "training", "valid", "testing"}


def read_folder(
    data_dir: Path | None,
    cache_dir: Path,
    folder: str,
    classes: tuple[str, ...] | None,
    size: int,
    held_out: float | None = None,
    loading: Loading | None = None,
) -> ImageData:
    """Return the images of ``folder`` inside ``data_dir`` at ``size`` pixels.

    ``classes`` selects classes by name and sets their order (``None``: all, sorted by name); ``held_out`` is the share
    of the training images to hold out for validation (``None``: none, or a tenth without validation images);
    ``loading`` holds the images in memory or streams them (``None``: by their size). Raises InputError for a missing
    folder or class, and for a class without images.
    """
    root = _root(folder, data_dir)
    parquet = find_split([root], "train"), find_split([root], *HELD_OUT)
    if all(parquet) or (parquet[0] and not os.path.isdir(root / "train")):
        if held_out is None and not parquet[1]:
            check_no_validation(splits_in(root), HELD_OUT, f"data '{NAME}': {root}", "rename its files")
        count = count_rows([*parquet[0], *parquet[1]])
        decoder = Decoder(NAME, cache_dir, size, streams(loading, count, size))
        return _read_parquet(root, *parquet, decoder, classes, held_out)
    train, validation = _splits(root)
    if held_out is None and validation is None and train != root:
        check_no_validation((f.name for f in subfolders(root)), HELD_OUT, f"data '{NAME}': {root}", "rename it")
    if held_out is not None or validation is None:
        return _read_one(train, cache_dir, classes, size, held_out or HELD_OUT_SHARE, loading)
    inside = {split: _by_class(split) for split in (train, validation)}
    names = _choose(sorted(inside[train]), classes, train)
    if classes is None:
        _check_equal(inside, train, validation)
    walked = [[_images_of(by_class, name, split) for name in names] for split, by_class in inside.items()]
    splits = [[sorted(found.files) for found in members] for members in walked]
    files = [file for split in splits for members in split for file in members]
    counts = [[len(members) for members in split] for split in splits]
    decoder = Decoder(NAME, cache_dir, size, streams(loading, len(files), size))

    def decode() -> ImageData:
        first, second = (decoder.files(split) for split in splits)
        return assemble(NAME, first, second, names)

    data = decoder.data(files, (counts, size, names), decode)
    found = [*(found for members in walked for found in members), _beside(train), _beside(validation)]
    unread = Counter(f"folder '{f.name[:40]}'" for f in subfolders(root) if f not in (train, validation))
    remarks = _left_out([*found, Walked((), unread)], root)
    return replace(data, remarks=(*data.remarks, *remarks), files=_names(inside[train], names, splits[0]))


def _read_one(
    split: Path,
    cache_dir: Path,
    classes: tuple[str, ...] | None,
    size: int,
    share: float,
    loading: Loading | None,
) -> ImageData:
    """Return the images of one folder of classes, of which ``share`` is held out by their names below it."""
    by_class = _by_class(split)
    names = _choose(sorted(by_class), classes, split)
    walked = [_images_of(by_class, name, split) for name in names]
    members = [sorted(found.files) for found in walked]
    files = [file for some in members for file in some]
    labels = np.repeat(np.arange(len(names)), [len(some) for some in members])
    inside = _names(by_class, names, members)
    digests = [hashlib.sha256(name).digest() for name in inside.tolist()]
    held = held_apart(digests, labels, share, f"data '{NAME}': {split}")

    def decode() -> ImageData:
        return assemble(NAME, *apart(decoder.files(members), held), names)

    counts = [len(some) for some in members]
    decoder = Decoder(NAME, cache_dir, size, streams(loading, len(files), size))
    data = decoder.data(files, (counts, size, names, np.flatnonzero(held).tolist()), decode)
    remarks = held_out_remark(data, share, "the file name"), *_left_out([*walked, _beside(split)], split)
    return replace(data, remarks=remarks, files=inside)


def _names(by_class: Mapping[str, Path], names: Sequence[str], members: Sequence[Sequence[Path]]) -> NDArray[np.bytes_]:
    """Return ``<class>/<name in its folder>`` of the files of each class, (N,) UTF-8."""
    return np.array(
        [
            same_name(f"{name}/{file.relative_to(by_class[name]).as_posix()}").encode(errors="surrogateescape")
            for name, files in zip(names, members, strict=True)
            for file in files
        ],
        dtype=np.bytes_,
    )


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


def _beside(split: Path) -> Walked:
    """Return no file, and the count of what lies in ``split`` beside the folders of classes."""
    names = Counter("hidden" if hidden(entry.name) else "in no class" for entry in os.scandir(split) if _other(entry))
    return Walked((), names)


def _other(entry: os.DirEntry[str]) -> bool:
    return hidden(entry.name) or not entry.is_dir()


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


def _splits(root: Path) -> tuple[Path, Path | None]:
    """Return the folders of the classes of training and of validation; ``root`` itself if it has the classes."""
    if os.path.isdir(root / "train"):
        return root / "train", next((root / name for name in HELD_OUT if os.path.isdir(root / name)), None)
    names = [folder.name for folder in subfolders(root)]
    split = next((name for name in names if name.lower() in SPLITS), None)
    if split is not None or not names:
        got = f"'{split}' without it" if split is not None else "no folder"
        raise InputError(f"data '{NAME}': expected a folder train of classes in {root}, or the classes, got {got}")
    return root, None


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


def _read_parquet(
    root: Path,
    train: list[Path],
    validation: list[Path],
    decoder: Decoder,
    classes: tuple[str, ...] | None,
    held_out: float | None,
) -> ImageData:
    """Return the images of parquet files; without ``validation`` or with ``held_out``, a share of training is apart."""
    if held_out is None and validation:
        settings = decoder.size, classes
        return decoder.data(
            [*train, *validation], settings, lambda: _from_parquet(root, train, validation, classes, decoder)
        )
    share = held_out or HELD_OUT_SHARE

    def decode() -> ImageData:
        split = read_split(train, decoder)
        held = held_apart(split.digests, split.images.labels.numpy(), share, f"data '{NAME}': {root}")
        return _chosen(root, *apart(split.images, held), split.classes, classes)

    data = decoder.data(train, (decoder.size, classes, "held out", share), decode)
    return replace(data, remarks=(*data.remarks, held_out_remark(data, share, "the image")))


def _from_parquet(
    root: Path, train: list[Path], validation: list[Path], classes: tuple[str, ...] | None, decoder: Decoder
) -> ImageData:
    first, second = (read_split(files, decoder) for files in (train, validation))
    if first.classes != second.classes:
        raise InputError(f"data '{NAME}': expected the same class names in both splits of {root}")
    return _chosen(root, first.images, second.images, first.classes, classes)


def _chosen(
    root: Path, train: ImageSet, validation: ImageSet, known: tuple[str, ...], classes: tuple[str, ...] | None
) -> ImageData:
    """Return the images of the chosen ``classes`` of the ``known`` ones."""
    names = _choose(known, classes, root) if classes is not None else known
    new_label = np.full(len(known), -1)
    new_label[[known.index(name) for name in names]] = np.arange(len(names))
    return assemble(NAME, _relabel(train, new_label), _relabel(validation, new_label), names)


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
