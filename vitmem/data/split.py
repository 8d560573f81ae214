"""A fixed split with the same share of every class, for data sets that come in one piece."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from vitmem.data.sets import ImageData, ImageSet, assemble
from vitmem.noise.counts import apportion

SPLIT_SEED = 0


def stratified(labels: NDArray[np.int64], validation: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split the positions of ``labels`` (n,) into training (n - validation,) and validation, both sorted.

    Each class has its share in both to within one image. The split is the same for everyone.
    """
    rng = np.random.default_rng(SPLIT_SEED)
    members = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    counts = apportion(np.array([validation * len(m) / len(labels) for m in members]))
    held = np.sort(np.concatenate([rng.permutation(m)[:k] for m, k in zip(members, counts, strict=True)]))
    return np.setdiff1d(np.arange(len(labels)), held), held


def digit_data(name: str, images: NDArray[np.uint8], labels: NDArray[np.int64], validation: int) -> ImageData:
    """Return grey digits ``images`` (n, H, W) as a data set with ``validation`` images held out."""
    pixels, targets = torch.from_numpy(images)[:, None], torch.from_numpy(labels)
    whole = ImageSet(pixels, targets, torch.arange(len(targets)))
    train, held = (torch.from_numpy(rows) for rows in stratified(labels, validation))
    return assemble(name, whole.take(train), whole.take(held), tuple(str(d) for d in range(10)))
