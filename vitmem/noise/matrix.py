"""Read and check a transition matrix from a text file: K x K, non-negative, rows that sum to 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitmem.errors import InputError, one_line
from vitmem.files import read_text
from vitmem.parsing import parse_json

# Tolerance for row sums of a matrix written with few digits.
TOLERANCE = 1e-4


def read_matrix(path: Path) -> Any:
    """Return the rows of numbers in ``path``: JSON (a list of lists), or text with commas or spaces.

    Raises InputError for a missing file or another format.
    """
    text = read_text(path, "a matrix", "give one inside --data-dir, or its whole path")
    if path.suffix.lower() == ".json":
        return parse_json(text, str(path), expected="a matrix as JSON")
    try:
        if not text.strip():
            raise ValueError("an empty file")
        return np.loadtxt(text.splitlines(), delimiter="," if "," in text else None, ndmin=2)
    except ValueError as error:
        raise InputError(f"{path}: expected a matrix as JSON, CSV or text with spaces, got {one_line(error)}") from None


def checked_matrix(table: Any, num_classes: int, where: str) -> NDArray[np.float64]:
    """Return ``table`` as (K, K) float64 with rows that sum to 1; raises InputError, prefixed with ``where``.

    Sums may be off by 0.0001 because of rounded numbers; rows are then rescaled to 1.
    """
    try:
        if not _numbers(table):
            raise ValueError
        matrix = np.asarray(table, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"{where}: expected rows of {num_classes} numbers each, got rows of unequal length or no numbers"
        ) from None
    if matrix.shape != (num_classes, num_classes):
        got = " x ".join(str(length) for length in matrix.shape) or "one"
        raise InputError(f"{where}: expected {num_classes} x {num_classes} numbers, one row per true class, got {got}")
    wrong = ~np.isfinite(matrix) | (matrix < 0)
    if wrong.any():
        i, j = np.argwhere(wrong)[0]
        raise InputError(f"{where}: expected probabilities, got {matrix[i, j]:g} in row {i}, column {j}")
    sums = matrix.sum(axis=1)
    row = int(np.abs(sums - 1).argmax())
    if abs(sums[row] - 1) > TOLERANCE:
        hint = "; its columns do, so transpose it" if np.allclose(matrix.sum(axis=0), 1, atol=TOLERANCE) else ""
        raise InputError(f"{where}: expected rows that sum to 1, got {sums[row]:g} in row {row}{hint}")
    return matrix / sums[:, None]


def _numbers(table: Any) -> bool:
    """Return whether a list of lists holds only numbers: numpy also converts text and booleans."""
    if isinstance(table, np.ndarray):
        return True
    rows = table if isinstance(table, (list, tuple)) else [table]
    cells = [cell for row in rows for cell in (row if isinstance(row, (list, tuple)) else [row])]
    return all(isinstance(cell, (int, float)) and not isinstance(cell, bool) for cell in cells)
