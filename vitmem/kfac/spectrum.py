"""Eigen-decomposition of a statistic: float64, descending, never below zero.

The bottom of the spectrum is what the method reads, so low precision here would be a bug.
"""

from __future__ import annotations

from dataclasses import dataclass

import scipy.linalg
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
    symmetric = (matrix + matrix.T) / 2
    try:
        values, vectors = torch.linalg.eigh(symmetric)
    except torch.linalg.LinAlgError:
        # divide and conquer may fail where most of the spectrum is zero, as of few inputs; QR iterations do not
        found = scipy.linalg.eigh(symmetric.cpu().numpy(), driver="ev")
        values, vectors = (torch.from_numpy(part).to(matrix.device) for part in found)
    return Eigen(values.flip(0).clamp_min(0), vectors.flip(1))


def centered(second_moment: Tensor, mean: Tensor) -> Eigen:
    """Return the direction of the ``mean`` m (n,), then the eigenvectors of the covariance in the space across it.

    The covariance is ``second_moment`` (n, n) - m mᵀ. With m among the directions that are kept, W m stays what it is:
    no bias has to make up for it, as in a principal component analysis. The first value is the second moment along m,
    or the largest eigenvalue where that is larger. A mean of zero has no direction: the covariance alone is left.
    """
    second_moment, mean = second_moment.double(), mean.double()
    if not mean.any():
        return eigen(second_moment)
    # the first column of Q is the direction of the mean, the others span what is across it
    q, _ = torch.linalg.qr(mean[:, None], mode="complete")
    across = q[:, 1:]
    rest = eigen(across.T @ (second_moment - torch.outer(mean, mean)) @ across)
    first = torch.cat([(q[:, 0] @ second_moment @ q[:, 0])[None], rest.values]).max()
    return Eigen(torch.cat([first[None], rest.values]), torch.cat([q[:, :1], across @ rest.vectors], dim=1))


def effective_rank(values: Tensor) -> float:
    """Return exp(H) of the shares of ``values`` (n,) >= 0 in their sum: from 1 to n where all are equal; 0 of zeros.

    H is the entropy in nats. Roy and Vetterli (2007), "The effective rank: a measure of effective dimensionality",
    take singular values.
    """
    total = values.double().sum()
    return float(torch.special.entr(values.double() / total).sum().exp()) if total > 0 else 0.0


def overlap(one: Tensor, other: Tensor) -> float:
    """Return ‖Uᵀ V‖² / k of two orthonormal bases (n, k) float64: 1 for the same space, k / n by chance."""
    return float((one.T @ other).square().sum()) / one.shape[1]
