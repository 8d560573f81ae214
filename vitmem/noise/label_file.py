"""Read labels from a file: CSV with a header, or npz with an array of labels.

A label is the name of a class or its number from 0. If all names are numbers, such as years, a number is a name. A
column ``file`` has the names of the images, ``<class>/<name>`` or the name alone; a column ``index``, or without a name
as pandas writes it, their positions in the original set. Without both, row i has the label of image i.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitmem.errors import InputError, one_line, shown, unknown
from vitmem.files import check_readable, read_text, same_name
from vitmem.noise.base import Labels, NoiseContext
from vitmem.noise.image_names import rows_of_files
from vitmem.noise.probabilities import rows_of
from vitmem.npz import read_npz

INDEX, FILE = "index", "file"
HINT = "give one inside --data-dir, or its whole path"
Texts = NDArray[np.str_]


def read_labels(path: Path, key: str | None, index: NDArray[np.integer], known: NoiseContext, noise: str) -> Labels:
    """Return the labels of the images at ``index`` (n,) of the original set, (n,) int64.

    ``key`` is the column (``None``: the only one of labels); ``known`` has the classes (without names labels are
    numbers), and the number and the files of the original images. Raises InputError, prefixed with ``noise``, for a
    file that is missing or unreadable, a label that is empty or no class, and images without a row or with several.
    """
    where = f"{noise}: {path}"
    columns = _columns(path, where)
    by_name = FILE in columns and known.files is not None
    beside = {INDEX, FILE} if by_name else {INDEX}
    key = _key(columns, key, beside, known.classes, where)
    texts = _texts(columns[key], f"{where}: '{key}'")
    labels = _numbers(texts, known.num_classes, known.classes, f"{where}: column '{key}'")
    if by_name:
        assert known.files is not None
        return labels[rows_of_files(_texts(columns[FILE], f"{where}: '{FILE}'"), known.files, index, where)]
    if INDEX in columns:
        positions = _positions(_texts(columns[INDEX], f"{where}: '{INDEX}'"), where)
        return labels[rows_of(index, positions, len(labels), where)]
    total = len(index) if np.array_equal(index, np.arange(len(index))) and known.total is None else known.total
    if len(labels) != total if total is not None else len(labels) <= index.max(initial=-1):
        expected = f"{total}" if total is not None else f"at least {index.max() + 1}"
        raise InputError(
            f"{where}: expected {expected} labels, one per image of the original training set, got {len(labels)}; a "
            f"file of some images needs a column '{INDEX}' of their positions"
            + (f", or '{FILE}' of their names" if known.files is not None else "")
        )
    return labels[index]


def _columns(path: Path, where: str) -> Mapping[str, NDArray[Any]]:
    """Return the columns of a file by name, texts of a CSV."""
    check_readable(path, "a file of labels", HINT)
    try:
        if path.suffix.lower() == ".npz":
            return read_npz(path)
        if path.suffix.lower() == ".csv":
            return _csv(read_text(path, "labels as CSV"))
    except InputError:
        raise
    except Exception as error:  # zip, zlib, numpy and pandas raise their own errors
        reason = "other things than arrays of numbers or texts" if "pickle" in str(error) else one_line(error, 200)
        raise InputError(f"{where}: not a readable file of labels ({reason})") from None
    raise InputError(f"{where}: expected labels as .csv or .npz, got {path.suffix or 'a name without a suffix'}")


def _csv(text: str) -> dict[str, NDArray[Any]]:
    """Return the columns of a CSV as texts; nothing is converted or left out."""
    import pandas as pd

    lines = io.StringIO(text.rstrip("\r\n"))
    table = pd.read_csv(lines, header=None, dtype=str, na_filter=False, skip_blank_lines=False).to_numpy(object)
    header = [same_name(name.strip()) for name in table[0]]
    names = [INDEX if not name and INDEX not in header else name for name in header]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise ValueError(f"two columns have the name {shown(double)}")
    return dict(zip(names, table[1:].T, strict=True))


def _key(
    columns: Mapping[str, Any], key: str | None, beside: Collection[str], classes: Sequence[str], where: str
) -> str:
    """Return the name of the column of labels, which is none ``beside`` them."""
    names = [name for name in columns if name not in beside]
    if key is not None:
        if key not in names:
            raise unknown(f"column of {where}:", key, names)
        return key
    if len(names) != 1:
        got = ", ".join(names)[:200] or "none"
        raise InputError(
            f"{where}: expected one column of labels, got {got}; name one as 'key', the images of a folder in '{FILE}'"
        )
    if names[0].isdecimal() or names[0] in classes:
        raise InputError(f"{where}: expected a header, such as 'label', in the first line, got {shown(names[0])}")
    return names[0]


def _texts(values: NDArray[Any], where: str) -> Texts:
    """Return whole numbers or texts (n,) as texts; raises InputError for other values."""
    if values.ndim != 1 or values.dtype.kind not in "iuUO":  # objects are texts of a CSV
        shape = " x ".join(map(str, values.shape)) or "one"
        raise InputError(f"{where}: expected a list of whole numbers or texts, got {shape} of type {values.dtype}")
    return np.char.strip(values.astype(str))


def _positions(texts: Texts, where: str) -> NDArray[np.int64]:
    if not all(len(text) < 19 and text.isdecimal() for text in texts.tolist()):
        wrong = next(text for text in texts.tolist() if len(text) >= 19 or not text.isdecimal())
        raise InputError(f"{where}: expected positions from 0 in '{INDEX}', got {shown(wrong)}")
    return texts.astype(np.int64)


def _numbers(texts: Texts, num_classes: int, classes: Sequence[str], where: str) -> Labels:
    """Return the class number of each label, (n,)."""
    values, inverse = np.unique(texts, return_inverse=True)
    names = {same_name(name): number for number, name in enumerate(classes)}
    if not names or not all(name.isdecimal() for name in names):
        numbers = {str(number): number for number in range(num_classes)}
        names = {**numbers, **names}
    found = np.array([names.get(same_name(value), -1) for value in values.tolist()], dtype=np.int64)[inverse]
    if (wrong := found < 0).any():
        row = int(wrong.argmax())
        kinds = f"numbers 0 to {num_classes - 1} or class names"
        got = shown(str(texts[row])) if texts[row] else "no label"
        raise InputError(f"{where}: expected {kinds}, got {int(wrong.sum())} other labels, {got} in row {row}")
    return found
