"""Read all arrays of an npz file by name, or raise an error. Does not import torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_npz(file: Path) -> dict[str, NDArray[Any]]:
    """Return the columns of ``file`` by name, (n, ...) each; nothing is unpickled.

    All are read, because only reading detects damage. Raises ValueError for one array without a name, a repeated column
    or one that is not an array, and what numpy and zipfile raise for a damaged file.
    """
    stored = np.load(file, allow_pickle=False)
    if not isinstance(stored, np.lib.npyio.NpzFile):
        raise ValueError("one array, not columns by name")
    with stored:
        if len(set(stored.files)) < len(stored.files):
            raise ValueError("a repeated column")
        columns = {name: stored[name] for name in stored.files}
    if not all(isinstance(column, np.ndarray) for column in columns.values()):  # numpy returns other members as bytes
        raise ValueError("a column that is not an array")
    return columns
