"""Eigen-decomposition of a statistic: float64, descending, never below zero.

The bottom of the spectrum is what the method reads, so low precision here would be a bug.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Eigen:
    """``values`` (n,) descending and >= 0, ``vectors`` (n, n) with the eigenvectors as columns; float64."""

    values: Tensor
    vectors: Tensor


def eigen(matrix: Tensor) -> Eigen:
    """Return the spectrum of a symmetric positive semi-definite ``matrix`` (n, n)."""
    matrix = matrix.double()
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    return Eigen(values.flip(0).clamp_min(0), vectors.flip(1))
