"""Eigendecomposition of a statistic: float64, descending, never negative.

The method depends on the bottom of the spectrum, so low precision here would be a bug.
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
        # divide and conquer may fail on mostly zero spectra, as with few inputs; QR iterations do not
        decomposition = scipy.linalg.eigh(symmetric.cpu().numpy(), driver="ev")
        values, vectors = (torch.from_numpy(part).to(matrix.device) for part in decomposition)
    return Eigen(values.flip(0).clamp_min(0), vectors.flip(1))


def centered(second_moment: Tensor, mean: Tensor) -> Eigen:
    """Return the direction of the ``mean`` m (n,), then the covariance's eigenvectors in its orthogonal complement.

    The covariance is ``second_moment`` (n, n) - m mᵀ. With m among the kept directions W m is unchanged, so no bias
    correction is needed, as in a principal component analysis. The first value is the second moment along m, or the
    largest eigenvalue if that is larger. For a zero mean this is the spectrum of the covariance alone.
    """
    second_moment, mean = second_moment.double(), mean.double()
    if not mean.any():
        return eigen(second_moment)
    # the first column of Q is the direction of the mean, the others span its orthogonal complement
    q, _ = torch.linalg.qr(mean[:, None], mode="complete")
    across = q[:, 1:]
    rest = eigen(across.T @ (second_moment - torch.outer(mean, mean)) @ across)
    first = torch.cat([(q[:, 0] @ second_moment @ q[:, 0])[None], rest.values]).max()
    return Eigen(torch.cat([first[None], rest.values]), torch.cat([q[:, :1], across @ rest.vectors], dim=1))


def effective_rank(values: Tensor) -> float:
    """Return exp(H), H the entropy (nats) of ``values`` (n,) >= 0 over their sum: 1 to n (all equal); 0 of zeros.

    Roy and Vetterli (2007), "The effective rank: a measure of effective dimensionality", use singular values.
    """
    total = values.double().sum()
    return float(torch.special.entr(values.double() / total).sum().exp()) if total > 0 else 0.0


def overlap(one: Tensor, other: Tensor) -> float:
    """Return ‖Uᵀ V‖² / k of two orthonormal bases (n, k) float64: 1 for the same space, k / n by chance."""
    return float((one.T @ other).square().sum()) / one.shape[1]
