"""CIFAR-100 (Krizhevsky 2009). See ``vitmem.data.cifar`` for the location of its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vitmem.registry import DATA

if TYPE_CHECKING:
    from vitmem.data.sets import ImageData


@DATA.register(
    "cifar100",
    summary="CIFAR-100, 32x32, downloaded or read from --data-dir",
    views=("without_duplicates", "without_label_errors"),
    downloads=True,
)
def cifar100(data_dir: Path | None, cache_dir: Path, *, labels: Literal["coarse"] | None = None) -> ImageData:
    """Return CIFAR-100: 50,000 training and 10,000 test images of 100 classes, (3, 32, 32).

    With ``labels`` coarse the classes are its 20 superclasses, and the human labels, of the 100 classes, are dropped.
    Raises InputError when it is missing, cannot be downloaded or is incomplete.
    """
    from vitmem.data.cifar import by_superclass, read_cifar

    fine = read_cifar("cifar100", 100, data_dir, cache_dir)
    return fine if labels is None else by_superclass(fine)
