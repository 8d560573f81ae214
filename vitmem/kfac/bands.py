"""Where in the spectrum of its inputs a layer reads: norms inside bands of eigenvectors, two sets beside each other.

Merullo et al. (2025), figure 2: memorized text has more of its norm in the directions of low curvature. Only A's
eigenvectors are looked at; the vectors are told into bands by their number, from the largest eigenvalue down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Where bands end, as a share of the vectors: the top 10 %, the next 15 and 25 %, the bottom half.
ENDS = (0.1, 0.25, 0.5, 1.0)
TINY = torch.finfo(torch.float64).tiny


@dataclass(frozen=True)
class Band:
    """One band of ``vectors`` eigenvectors, from share ``low`` to share ``high`` of all, and two sets in it.

    ``norms`` are mean ‖V_bᵀ a‖ of each set, ``shares`` mean ‖V_bᵀ a‖² / ‖a‖², which long rows do not rule.
    """

    low: float
    high: float
    vectors: int
    norms: tuple[float, float]
    shares: tuple[float, float]

    @property
    def ratio(self) -> float:
        """The norm of the first set over that of the second; infinite where that has none."""
        return _ratio(self.norms)

    @property
    def share_ratio(self) -> float:
        """The share of the first set over that of the second; infinite where that has none."""
        return _ratio(self.shares)


def _ratio(pair: tuple[float, float]) -> float:
    return pair[0] / pair[1] if pair[1] else math.inf


def band_sizes(width: int, ends: Sequence[float] = ENDS) -> list[int]:
    """Return how many of ``width`` vectors each band has; a band of few vectors may have none."""
    places = [round(end * width) for end in ends]
    return [place - before for before, place in zip([0, *places], places, strict=False)]


def band_norms(vectors: Tensor, rows: Tensor, ends: Sequence[float] = ENDS) -> Tensor:
    """Return ‖V_bᵀ a‖ of every row a (n, q) in every band, (n, B) float64, for eigenvectors as columns (q, q).

    The columns are ordered by eigenvalue, the largest first. The squares of a row's norms add up to ‖a‖².
    """
    coordinates = rows.double().cpu() @ vectors.double().cpu()  # (n, q)
    parts = coordinates.split(band_sizes(len(vectors), ends), 1)
    return torch.stack([part.norm(dim=1) for part in parts], 1)


def compare_bands(one: Tensor, other: Tensor, width: int, ends: Sequence[float] = ENDS) -> list[Band]:
    """Return the bands of ``width`` vectors with the means of two sets of norms, (n, B) and (m, B), without empty ones.

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
