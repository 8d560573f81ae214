"""Eigenvectors and an edit in little memory, for matrices so large that only a few fit.

LAPACK's drivers for all eigenvectors of a matrix (n, n) hold two or three times n² numbers; this holds 1.5 times. An
edit holds its two bases and one matrix (p, q) in float64 in addition to the weight, which it overwrites.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, eigh_tridiagonal, lapack
from torch import Tensor

from vitmem.errors import VitmemError
from vitmem.kfac.edit import LayerReport
from vitmem.kfac.spectrum import Eigen

# Reflectors per block, and rows or columns of a matrix per chunk.
PANEL = 64
Array = NDArray[np.float64]


def eigen_lean(load: Callable[[], Tensor]) -> Eigen:
    """Return the spectrum of the symmetric positive semi-definite matrix (n, n) from ``load``, as ``eigen`` does.

    The matrix is loaded here so that no other reference to it exists: it is overwritten, then freed before the
    eigenvectors are computed. Peak 1.5 n² float64 numbers. Raises VitmemError when LAPACK does not converge.
    """
    packed, tau, diagonal, beside = _tridiagonal(load)
    if len(diagonal) == 1:
        return Eigen(torch.from_numpy(-diagonal).clamp_min(0), torch.ones(1, 1, dtype=torch.float64))
    try:
        values, vectors = eigh_tridiagonal(diagonal, beside, lapack_driver="stemr")
    except LinAlgError as error:
        raise VitmemError(f"statistics: their eigenvectors were not found ({error})") from None
    rows = torch.from_numpy(vectors.T)  # row k is the k-th vector
    for start in reversed(range(0, len(tau), PANEL)):
        _reflect(rows[:, start + 1 :], _panel(packed, start, len(rows)), tau[start : start + PANEL])
    # the matrix was negated, so ascending order is the descending order of its spectrum
    return Eigen(torch.from_numpy(-values).clamp_min(0), rows.T)


def _tridiagonal(load: Callable[[], Tensor]) -> tuple[Array, Array, Array, Array]:
    """Return -M = Q T Qᵀ for the matrix M (n, n) of ``load``: Q as reflectors, packed, with their factors; T as two
    diagonals, (n,) and (n - 1,)."""
    matrix = load().double().contiguous()
    size = len(matrix)
    for start in range(0, size, PANEL):
        end = start + PANEL
        # only this triangle is read below
        matrix[start:end, start:] = (matrix[start:end, start:] + matrix[start:, start:end].T) / -2
    work, _ = lapack.dsytrd_lwork(size, lower=1)
    # the transpose of numpy's order is LAPACK's, so it works in place
    reflectors, diagonal, beside, tau, _ = lapack.dsytrd(matrix.numpy().T, lower=1, lwork=int(work), overwrite_a=1)
    packed = np.empty(sum(_rows(s, size) * _columns(s, size) for s in range(0, size - 1, PANEL)))
    for start in range(0, size - 1, PANEL):
        panel = _panel(packed, start, size)
        panel[...] = np.tril(reflectors[start + 1 :, start : start + panel.shape[1]], -1)
        np.fill_diagonal(panel, 1)
    return packed, tau, diagonal, beside


def _rows(start: int, size: int) -> int:
    return size - 1 - start


def _columns(start: int, size: int) -> int:
    return min(PANEL, size - 1 - start)


def _panel(packed: Array, start: int, size: int) -> Array:
    """Return a view of the reflectors of the columns from ``start`` on, (size - 1 - start, columns)."""
    rows, columns = _rows(start, size), _columns(start, size)
    # every earlier panel is full
    offset = sum(_rows(s, size) * PANEL for s in range(0, start, PANEL))
    return packed[offset : offset + rows * columns].reshape(rows, columns)


def _reflect(rows: Tensor, panel: Array, tau: Array) -> None:
    """Apply H_1 ... H_k, H_i = 1 - tau_i v_i v_iᵀ with v_i the columns of ``panel`` (m, k), to every row (n, m).

    H_1 ... H_k = 1 - V T Vᵀ where the inverse of T has the upper triangle of VᵀV and 1/tau on its diagonal.
    """
    used = torch.from_numpy(tau != 0)  # tau = 0 is the identity
    reflectors, factors = torch.from_numpy(panel) * used, torch.from_numpy(tau)
    inverse = (reflectors.T @ reflectors).triu(1)
    inverse.diagonal().copy_(torch.where(used, 1 / factors, 1.0))
    triangle = torch.linalg.inv(inverse)
    rows.addmm_(rows @ reflectors @ triangle.T, reflectors.T, alpha=-1)


def edit_lean(
    weight: Tensor, output: Tensor, inner: Tensor, staircase: Tensor, kept_mass: float | None = None
) -> LayerReport:
    """Turn ``weight`` W (p, q) into W' = U_G (C ∘ M) U_Aᵀ in place; the result equals ``edit_matrix``.

    ``output`` U_G (p, p), ``inner`` U_A (q, q), M the mask of the non-increasing ``staircase`` (p,). Only rows and
    columns of C with a kept pair are computed, and its energy is that of W.
    """
    p, q = weight.shape
    if int(staircase.sum()) == p * q:  # nothing is removed: every bit stays
        norm = sum(float(weight[rows].double().square().sum()) for rows in _chunks(p)) ** 0.5
        return LayerReport(p * q, p * q, kept_mass, 1.0, norm, 0.0, q, 0.0)
    inner, output = inner[:, : int(staircase[0])], output[:, : int((staircase > 0).sum())]  # (q, s), (p, r)
    work = torch.empty(p, inner.shape[1], dtype=torch.float64)
    for rows in _chunks(p):
        work[rows] = weight[rows].double() @ inner
    kept = 0.0
    for columns in _chunks(inner.shape[1]):
        part = output.T @ work[:, columns]  # (r, c), some columns of C
        part *= torch.arange(q)[columns] < staircase[: len(part), None]
        kept += float(torch.linalg.vector_norm(part)) ** 2  # squares would take more memory than the norm
        work[:, columns] = output @ part
    squares = [0.0, 0.0, 0.0]
    for rows in _chunks(p):
        old, new = weight[rows].double(), work[rows] @ inner.T
        weight[rows] = new.to(weight.dtype)
        for n, difference in enumerate((old, new - old, weight[rows].double() - new)):
            squares[n] += float(difference.square().sum())
    norm, change, rounding = (square**0.5 for square in squares)
    return LayerReport(
        kept_pairs=int(staircase.sum()),
        total_pairs=p * q,
        kept_mass=kept_mass,
        kept_energy=kept / squares[0] if norm else 1.0,
        weight_norm=norm,
        change_norm=change,
        first_row=int(staircase[0]),
        cast_error=rounding / change if change else 0.0,
    )


def _chunks(size: int) -> Iterator[slice]:
    return (slice(start, min(start + PANEL, size)) for start in range(0, size, PANEL))
