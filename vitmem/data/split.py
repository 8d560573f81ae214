"""Subsets of a dataset: a fixed stratified split, a split by digests, and a random subset."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitmem.data.sets import ImageData, ImageSet, assemble
from vitmem.errors import InputError, shown
from vitmem.noise.counts import apportion

SPLIT_SEED = 0
# Share of the images held out where a source has one split and the suite names no share.
HELD_OUT_SHARE = 0.1
# Names that people give to a split of validation images, in lower case.
VALIDATION_NAMES = frozenset({"val", "valid", "validation", "dev", "eval", "test", "testing"})


def stratified(labels: NDArray[np.int64], validation: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split the positions of ``labels`` (n,) into training (n - validation,) and validation, both sorted.

    Each class has its share in both to within one image. The split is fixed.
    """
    rng = np.random.default_rng(SPLIT_SEED)
    members = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    counts = apportion(np.array([validation * len(m) / len(labels) for m in members]))
    held = np.sort(np.concatenate([rng.permutation(m)[:k] for m, k in zip(members, counts, strict=True)]))
    return np.setdiff1d(np.arange(len(labels)), held), held


def held_apart(digests: Sequence[bytes], labels: NDArray[np.int64], share: float, where: str) -> NDArray[np.bool_]:
    """Return which images are held out for validation, (n,) bool: about ``share`` of each class.

    An image is held out if its digest (SHA-256, of its name or its content), read as a number in [0, 1), is below
    ``share``. So it is on the same side on every machine, in every order and beside any other images. Raises
    InputError, prefixed with ``where``, when none is held out, and when all images of a class in ``labels`` (n,) are.
    """
    below = round(share * 2**64)
    held = np.array([int.from_bytes(digest[:8], "big") < below for digest in digests], dtype=np.bool_)
    if not held.any():
        raise InputError(f"{where}: none of {len(held)} images is held out at a share of {share:g}; raise 'held_out'")
    if lost := len(set(labels.tolist()) - set(labels[~held].tolist())):
        raise InputError(
            f"{where}: all images of {lost} classes are held out at a share of {share:g}; lower 'held_out'"
        )
    return held


def check_no_validation(found: Iterable[str], read: Sequence[str], where: str, hint: str) -> None:
    """Raise InputError, prefixed with ``where``, if one of the ``found`` splits has validation images by its name.

    None of them has a name in ``read``: those that are looked for. ``hint`` says how to name another one.
    """
    for name in found:
        if name.lower() in VALIDATION_NAMES:
            raise InputError(
                f"{where}: expected validation images in {', '.join(read[:-1])} or {read[-1]}, got {shown(name)}; "
                f"{hint}, or give 'held_out' to take a share of the training images"
            )


def apart(images: ImageSet, held: NDArray[np.bool_]) -> tuple[ImageSet, ImageSet]:
    """Return ``images`` without those ``held`` out (n,), and those; both keep their positions in the whole."""
    train, validation = (images.take(torch.from_numpy(np.flatnonzero(mask))) for mask in (~held, held))
    return train, validation


def held_out_remark(data: ImageData, share: float, key: str) -> str:
    """Return a sentence about a split by ``held_apart``, where ``key`` names what the digests are of."""
    held, total = len(data.validation), len(data.train) + len(data.validation)
    none = data.num_classes - len(torch.unique(data.validation.labels))
    rest = f"; number of classes without any: {none}" if none else ""
    return (
        f"data '{data.name}': {held} of {total} images are held out for validation, about {share:g} of each class by "
        f"the digest of {key}{rest}"
    )


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
