"""Load a registered dataset, or a random subset of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from vitmem.data.sets import ImageData, ImageSet, check_differ, flat_remark
from vitmem.data.split import some_of
from vitmem.entries import Dataset


def load_data(
    data: Dataset,
    data_dir: Path | None,
    cache_dir: Path,
    train: int | None = None,
    validation: int | None = None,
    seed: int = 0,
) -> ImageData:
    """Read ``data`` with ``train`` and ``validation`` images (``None``: all of them).

    A subset is drawn uniformly without replacement and keeps the original order; the training subset does not depend on
    the number of validation images. Raises InputError when there are too few images, when the data cannot be read, and
    when all images of a split are identical.
    """
    whole: ImageData = data.load(data_dir=data_dir, cache_dir=cache_dir)
    where = f"data '{data.name}'"
    for split, images in (("training", whole.train), ("validation", whole.validation)):
        check_differ(images.images, where, split)
    return replace(
        whole,
        train=_part(whole.train, train, (seed, 0), f"{where}: 'train'"),
        validation=_part(whole.validation, validation, (seed, 1), f"{where}: 'validation'"),
        remarks=(*whole.remarks, *flat_remark(whole.std, where)),
        total=_total(whole),
    )


def _total(data: ImageData) -> int | None:
    """Return the number of images of the original training set of a whole dataset.

    These are the training images, with the validation images if both are parts of one set. It is unknown where a choice
    of classes leaves out others.
    """
    train, validation = data.train.index, data.validation.index
    for index in (torch.cat([train, validation]).sort().values, train):
        if torch.equal(index, torch.arange(len(index))):
            return len(index)
    return None


def _part(images: ImageSet, count: int | None, seed: tuple[int, int], where: str) -> ImageSet:
    return images if count is None else images.take(some_of(len(images), count, seed, where))
