"""Exact counts: the number of images of each class for a rate, and their random choice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vitmem.noise.base import Labels


def apportion(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round ``shares`` (m,) to whole numbers whose sum is the rounded sum (largest remainders go up)."""
    # 0.1 * 130 is 13.000000000000002: remove the float error before the floor
    shares = np.round(shares, 9)
    counts = np.floor(shares).astype(np.int64)
    missing = round(float(shares.sum())) - int(counts.sum())
    order = np.argsort(counts - shares, kind="stable")  # largest remainder first, ties by position
    counts[order[:missing]] += 1
    return counts


def pick(clean: Labels, classes: Sequence[int], rate: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Pick ``rate`` of the images of each of ``classes`` without replacement; return their positions (n,).

    ``clean`` (N,) are the true labels. Each class gets its share to within one image, and the total is exactly the
    rounded one.
    """
    members = [np.flatnonzero(clean == c) for c in classes]
    counts = apportion(np.array([rate * len(m) for m in members], dtype=np.float64))
    chosen = [rng.permutation(m)[:count] for m, count in zip(members, counts, strict=True)]
    return np.concatenate(chosen) if chosen else np.empty(0, dtype=np.int64)
