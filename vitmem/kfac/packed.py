"""Symmetric matrices without their lower half: the same bits in half the space."""

from __future__ import annotations

import torch
from torch import Tensor

# Rows per block; below the diagonal, the entries inside a block are kept too.
ROWS = 64


def packed(matrix: Tensor) -> Tensor:
    """Return the symmetric ``matrix`` (n, n) on and above its block diagonal, (k,) with k slightly over n²/2."""
    return torch.cat([matrix[start : start + ROWS, start:].flatten() for start in range(0, len(matrix), ROWS)])


def packed_length(size: int) -> int:
    """Return the length of ``packed`` for a matrix (size, size)."""
    return sum(min(ROWS, size - start) * (size - start) for start in range(0, size, ROWS))


def unpacked(kept: Tensor, size: int) -> Tensor:
    """Return the matrix (size, size) from ``kept`` (k,), the inverse of ``packed``."""
    matrix = kept.new_empty(size, size)
    for start in range(0, size, ROWS):
        rows = min(ROWS, size - start)
        some, kept = kept[: rows * (size - start)], kept[rows * (size - start) :]
        matrix[start : start + rows, start:] = some.reshape(rows, size - start)
        matrix[start + rows :, start : start + rows] = matrix[start : start + rows, start + rows :].T
    return matrix
