"""Norms of layer inputs inside bands of eigenvectors, compared between two sets.

Merullo et al. (2025), figure 2: memorized text has more of its norm in the directions of low curvature. Only A's
eigenvectors are used; bands are ranges of their indices in descending order of eigenvalue.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Ends of the bands, as a share of the vectors: the top 10 %, the next 15 and 25 %, the bottom half.
ENDS = (0.1, 0.25, 0.5, 1.0)
TINY = torch.finfo(torch.float64).tiny


@dataclass(frozen=True)
class Band:
    """One band of ``vectors`` eigenvectors, from share ``low`` to share ``high`` of all, for two sets of inputs.

    ``norms`` are mean ‖V_bᵀ a‖ of each set; ``shares`` mean ‖V_bᵀ a‖² / ‖a‖², which long rows do not dominate.
    """

    low: float
    high: float
    vectors: int
    norms: tuple[float, float]
    shares: tuple[float, float]

    @property
    def ratio(self) -> float:
        """The norm of the first set over that of the second; infinite when the second is zero."""
        return _ratio(self.norms)

    @property
    def share_ratio(self) -> float:
        """The share of the first set over that of the second; infinite when the second is zero."""
        return _ratio(self.shares)


def _ratio(pair: tuple[float, float]) -> float:
    return pair[0] / pair[1] if pair[1] else math.inf


def band_sizes(width: int, ends: Sequence[float] = ENDS) -> list[int]:
    """Return the number of vectors in each band, of ``width`` in all; a band may be empty."""
    places = [round(end * width) for end in ends]
    return [place - before for before, place in zip([0, *places], places, strict=False)]


def band_norms(vectors: Tensor, rows: Tensor, ends: Sequence[float] = ENDS) -> Tensor:
    """Return ‖V_bᵀ a‖ of every row a (n, q) in every band, (n, B) float64, for eigenvectors as columns (q, q).

    Columns are in descending order of eigenvalue. The squares of a row's norms add up to ‖a‖².
    """
    coordinates = rows.double().cpu() @ vectors.double().cpu()  # (n, q)
    parts = coordinates.split(band_sizes(len(vectors), ends), 1)
    return torch.stack([part.norm(dim=1) for part in parts], 1)


def compare_bands(one: Tensor, other: Tensor, width: int, ends: Sequence[float] = ENDS) -> list[Band]:
    """Return the non-empty bands of ``width`` vectors with the means of two sets of norms, (n, B) and (m, B).

    A row of zeros has no share in any band.
    """
    norms = [x.mean(0).tolist() for x in (one, other)]
    shares = [(x.square() / x.square().sum(1, keepdim=True).clamp_min(TINY)).mean(0).tolist() for x in (one, other)]
    lows = [0.0, *ends]
    return [
        Band(lows[b], ends[b], size, (norms[0][b], norms[1][b]), (shares[0][b], shares[1][b]))
        for b, size in enumerate(band_sizes(width, ends))
        if size
    ]
