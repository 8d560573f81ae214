"""Find the rows of a table by the names of image files."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from vitmem.errors import InputError, shown
from vitmem.files import same_name


def rows_of_files(
    names: NDArray[np.str_], files: NDArray[np.bytes_], index: NDArray[np.integer], where: str
) -> NDArray[np.int64]:
    """Return the row of each image at ``index`` (n,) of the original set, (n,), by its file.

    ``names`` (rows,) are those of the table: a file as in ``files`` (N,) UTF-8, or its last part if no other image has
    it. Rows of other files are passed over. Raises InputError, prefixed with ``where``, for a name of several images, a
    file with two rows, and an image without a row.
    """
    whole = [file.decode(errors="surrogateescape") for file in files.tolist()]
    position = {file: number for number, file in enumerate(whole)}
    alone = {file.rpartition("/")[2]: number for number, file in enumerate(whole)}
    shared = {name for name, count in Counter(file.rpartition("/")[2] for file in whole).items() if count > 1}
    row_of: dict[int, int] = {}
    for row, text in enumerate(names.tolist()):
        name = same_name(text.replace("\\", "/")).removeprefix("./")
        if name not in position and name in shared:
            raise InputError(f"{where}: row {row}: several images have the name {shown(name)}; expected <class>/<name>")
        number = position.get(name, alone.get(name))
        if number is not None and row_of.setdefault(number, row) != row:
            raise InputError(f"{where}: {shown(whole[number])} has two rows, {row_of[number]} and {row}")
    missing = [number for number in index.tolist() if number not in row_of]
    if missing:
        got = f"; the first row names {shown(str(names[0]))}" if len(names) else ""
        raise InputError(
            f"{where}: {len(missing)} of {len(index)} training images have no row, the first is "
            f"{shown(whole[missing[0]])}{got}"
        )
    return np.array([row_of[number] for number in index.tolist()], dtype=np.int64)
