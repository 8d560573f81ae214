"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): 70,000 grey images of clothes, 28x28, MIT licence.

See ``vitmem.data.fashion_mnist`` for the location of its files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vitmem.registry import DATA

if TYPE_CHECKING:
    from vitmem.data.sets import ImageData


@DATA.register("fashion_mnist", summary="Fashion-MNIST, grey 28x28, downloaded or read from --data-dir", downloads=True)
def fashion_mnist(data_dir: Path | None, cache_dir: Path) -> ImageData:
    """Return Fashion-MNIST: 60,000 training and 10,000 test images of 10 classes, (1, 28, 28).

    Raises InputError when its files are missing or differ from the published ones.
    """
    from vitmem.data.fashion_mnist import read_fashion_mnist

    return read_fashion_mnist(data_dir, cache_dir)
