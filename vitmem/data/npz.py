"""Arrays by name in an npz file, all of them or an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_npz(file: Path) -> dict[str, NDArray[Any]]:
    """Return the columns of ``file`` by name, (n, ...) each; nothing is unpickled.

    All are read: a name that is damaged shows only then. Raises ValueError for one array without a name, for a column
    that comes twice or is no array, and what numpy and zipfile raise for a file that is torn.
    """
    stored = np.load(file, allow_pickle=False)
    if not isinstance(stored, np.lib.npyio.NpzFile):
        raise ValueError("one array, not columns by name")
    with stored:
        if len(set(stored.files)) < len(stored.files):
            raise ValueError("a column that comes twice")
        columns = {name: stored[name] for name in stored.files}
    if not all(isinstance(column, np.ndarray) for column in columns.values()):  # numpy hands other members on as bytes
        raise ValueError("a column that is no array")
    return columns
