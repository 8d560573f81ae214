"""Subsets of a dataset: a fixed stratified split, and a random subset."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitmem.data.sets import ImageData, ImageSet, assemble
from vitmem.errors import InputError
from vitmem.noise.counts import apportion

SPLIT_SEED = 0


def stratified(labels: NDArray[np.int64], validation: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split the positions of ``labels`` (n,) into training (n - validation,) and validation, both sorted.

    Each class has its share in both to within one image. The split is fixed.
    """
    rng = np.random.default_rng(SPLIT_SEED)
    members = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    counts = apportion(np.array([validation * len(m) / len(labels) for m in members]))
    held = np.sort(np.concatenate([rng.permutation(m)[:k] for m, k in zip(members, counts, strict=True)]))
    return np.setdiff1d(np.arange(len(labels)), held), held


def some_of(total: int, count: int, seed: int | tuple[int, ...], where: str) -> Tensor:
    """Return ``count`` of ``total`` positions, drawn without replacement and sorted, (count,) int64.

    Raises InputError, prefixed with ``where``, when there are too few.
    """
    if not total:
        raise InputError(f"{where}: expected {count}, but there is none")
    if not 0 < count <= total:
        raise InputError(f"{where}: expected a number from 1 to {total}, got {count}")
    return torch.from_numpy(np.sort(np.random.default_rng(seed).permutation(total)[:count]))


def digit_data(name: str, images: NDArray[np.uint8], labels: NDArray[np.int64], validation: int) -> ImageData:
    """Return grey digits ``images`` (n, H, W) as a dataset with ``validation`` images held out."""
    pixels, targets = torch.from_numpy(images)[:, None], torch.from_numpy(labels)
    whole = ImageSet(pixels, targets, torch.arange(len(targets)))
    train, held = (torch.from_numpy(rows) for rows in stratified(labels, validation))
    return assemble(name, whole.take(train), whole.take(held), tuple(str(d) for d in range(10)))
