"""CIFAR-10 (Krizhevsky 2009). See ``vitmem.data.cifar`` for the location of its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vitmem.registry import DATA

if TYPE_CHECKING:
    from vitmem.data.sets import ImageData


@DATA.register(
    "cifar10",
    summary="CIFAR-10, 32x32, downloaded or read from --data-dir",
    views=("without_duplicates", "without_label_errors", "agreement_humans"),
    downloads=True,
)
def cifar10(data_dir: Path | None, cache_dir: Path) -> ImageData:
    """Return CIFAR-10: 50,000 training and 10,000 test images of 10 classes, (3, 32, 32).

    Raises InputError when it is missing, cannot be downloaded or is incomplete.
    """
    from vitmem.data.cifar import read_cifar

    return read_cifar("cifar10", 10, data_dir, cache_dir)
