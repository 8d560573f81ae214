"""scikit-learn's handwritten digits: 1,797 grey images of 8x8 pixels, inside the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vitmem.registry import DATA

if TYPE_CHECKING:
    from vitmem.data.sets import ImageData


@DATA.register("digits", summary="scikit-learn's 1,797 grey digits, 8x8")
def digits(data_dir: Path | None, cache_dir: Path) -> ImageData:
    """Return 1,297 training and 500 validation digits (a fixed stratified split)."""
    from sklearn.datasets import load_digits

    from vitmem.data.split import digit_data

    source = load_digits()
    grey = np.rint(source.images * (255 / 16)).astype(np.uint8)  # (n, 8, 8), 0 to 16 in the source
    return digit_data("digits", grey, source.target.astype(np.int64), validation=500)
