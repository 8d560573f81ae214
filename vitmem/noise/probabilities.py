"""Class probabilities of a network trained on the true labels, from a safetensors file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from vitmem.errors import InputError, one_line
from vitmem.files import check_readable
from vitmem.noise.base import NoiseContext

# Tolerance for sums of probabilities stored as float16.
TOLERANCE = 5e-3


def read_probabilities(file: str, context: NoiseContext, count: int, noise: str) -> NDArray[np.float64]:
    """Return the class probabilities of the ``count`` images, (n, K), for the noise model ``noise``.

    ``file`` (relative to the data folder or absolute) has ``probabilities`` (N, K), or ``logits`` (N, K), like the
    predictions in a store. ``index`` (N,) gives the position of each row in the original set; without it there is one
    row per image in order. Raises InputError for a missing or truncated file, another shape, rows that are not
    probabilities, and an image without a row.
    """
    path = context.find(file)
    where = f"noise '{noise}': {path}"
    table, index = _read(path, where)
    if table.ndim != 2 or table.shape[1] != context.num_classes:
        shape = " x ".join(str(length) for length in table.shape) or "one number"
        raise InputError(f"{where}: expected one column per class, n x {context.num_classes}, got {shape}")
    if index is not None and context.index is not None:
        return table[rows_of(context.index, index, len(table), where)]
    if len(table) != count:
        raise InputError(
            f"{where}: expected {count} rows, one per training image, got {len(table)}; a file of more images needs "
            "their positions in the original set as 'index'"
        )
    return table


def _read(path: Path, where: str) -> tuple[NDArray[np.float64], NDArray[np.integer] | None]:
    """Return the probabilities and the index of a file."""
    from scipy.special import softmax

    check_readable(path, "class probabilities as safetensors", "give one inside --data-dir, or its whole path")
    try:
        with safe_open(path, framework="numpy") as stored:
            names = set(stored.keys())
            index = stored.get_tensor("index") if "index" in names else None
            if "probabilities" in names:
                return _checked(stored.get_tensor("probabilities").astype(np.float64), where), index
            if "logits" in names:
                logits = stored.get_tensor("logits").astype(np.float64)
                with np.errstate(invalid="ignore"):  # infinite logits become NaN, which is rejected below
                    return _checked(softmax(logits, axis=-1), where), index
    except (SafetensorError, OSError, TypeError, ValueError, AttributeError) as error:  # numpy lacks some types
        raise InputError(f"{where}: not a readable safetensors file ({one_line(error)})") from None
    raise InputError(f"{where}: expected 'probabilities' or 'logits', got {', '.join(sorted(names)) or 'nothing'}")


def _checked(table: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    sums = table.sum(axis=-1)
    wrong = ~(np.abs(sums - 1) <= TOLERANCE) | (table < 0).any(axis=-1)  # a NaN is wrong too
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{where}: expected rows of probabilities that sum to 1, got {int(wrong.sum())} that do not, row {row} "
            f"sums to {sums.flat[row]:.4g}"
        )
    return table


def rows_of(wanted: NDArray[np.integer], index: NDArray[np.integer], rows: int, where: str) -> NDArray[np.integer]:
    """Return the row of each position in ``wanted`` (n,), (n,), where ``index`` (rows,) are those of the rows.

    Raises InputError, prefixed with ``where``, for other values in ``index``, a repeated one and a missing one.
    """
    if not rows:
        raise InputError(f"{where}: expected one row per image, got a file without rows")
    if index.shape != (rows,):
        raise InputError(f"{where}: expected {rows} positions in 'index', one per row, got {index.size}")
    if not np.issubdtype(index.dtype, np.integer) or index.min() < 0:
        raise InputError(f"{where}: expected positions from 0 in 'index', got {index.dtype} from {index.min()}")
    if again := rows - len(np.unique(index)):
        raise InputError(f"{where}: expected one row per image, got {again} repeated positions in 'index'")
    order = np.argsort(index, kind="stable")
    place = np.searchsorted(index[order], wanted)
    positions = order[np.minimum(place, rows - 1)]
    missing = int((index[positions] != wanted).sum())
    if missing:
        raise InputError(f"{where}: {missing} of {len(wanted)} training images have no row, by their 'index'")
    return positions
