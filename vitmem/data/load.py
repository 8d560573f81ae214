"""Load a registered data set, or a random part of it."""

from __future__ import annotations

from pathlib import Path

from vitmem.data.sets import ImageData, ImageSet
from vitmem.data.split import some_of
from vitmem.registry import DATA
from vitmem.specs import Spec


def load_data(
    name: str,
    params: Spec,
    data_dir: Path | None,
    cache_dir: Path,
    train: int | None = None,
    validation: int | None = None,
    seed: int = 0,
) -> ImageData:
    """Return the data set ``name`` with ``train`` and ``validation`` images (``None``: all of them).

    A part is drawn uniformly without replacement and keeps the order of the whole; the training part
    does not depend on how many validation images are asked for. Raises InputError when there are fewer
    images than asked for, and when the data cannot be read.
    """
    whole: ImageData = DATA.get(name).load()(data_dir=data_dir, cache_dir=cache_dir, **params.model_dump())
    return ImageData(
        name=whole.name,
        train=_part(whole.train, train, (seed, 0), f"data '{name}': 'train'"),
        validation=_part(whole.validation, validation, (seed, 1), f"data '{name}': 'validation'"),
        classes=whole.classes,
        coarse=whole.coarse,
        mean=whole.mean,
        std=whole.std,
    )


def _part(images: ImageSet, count: int | None, seed: tuple[int, int], where: str) -> ImageSet:
    return images if count is None else images.take(some_of(len(images), count, seed, where))
