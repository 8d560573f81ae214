"""Views of the validation images: without duplicates in training, with right labels, and human votes.

The files index test images in the published order. Parquet files of CIFAR-10 have another order, so an order is
accepted only if the labels in the files agree with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitmem.data.noisy import Halves
from vitmem.data.shards import find_split
from vitmem.data.view_files import find_view, need_view, read_duplicates, read_label_errors, read_votes
from vitmem.errors import InputError
from vitmem.files import expand

Positions = NDArray[np.int64]
# Minimum number of labels known for the given images, and minimum share that agrees: annotators err too.
FEWEST, AGREEING = 5, 0.9


def view_folders(name: str, data_dir: Path | None, cache_dir: Path) -> list[Path]:
    """Return the folders for the files of dataset ``name``: those of its images and human labels."""
    given = [] if data_dir is None else [data_dir / name, data_dir]
    return [*given, expand(cache_dir) / name, expand(cache_dir)]


def load_view(view: str, name: str, folders: Sequence[Path], index: Tensor, labels: Tensor) -> Tensor:
    """Return one view of validation images at positions ``index`` (V,) of their set, with true ``labels`` (V,).

    ``without_duplicates`` and ``without_label_errors`` are the remaining images, (V,) bool, ``agreement_humans`` the
    shares of the votes, (V, K) float64. Raises InputError when the file is missing or unreadable, and when the order of
    the images is unknown.
    """
    file = need_view(view, name, folders)
    original = _original(name, folders, index.numpy(), labels.numpy())
    if view == "agreement_humans":
        shares = _rows(read_votes(file)[0], original, file)
        if len(labels) and labels.max() >= shares.shape[1]:
            raise InputError(f"{file}: expected votes for {labels.max() + 1} classes or more, got {shares.shape[1]}")
        return torch.from_numpy(shares)
    if view == "without_duplicates":
        return torch.from_numpy(~np.isin(original, read_duplicates(file)))
    positions, _given, wrong = read_label_errors(file)
    return torch.from_numpy(~np.isin(original, positions[wrong]))


def check_left(view: str, kept: Tensor, halves: Halves) -> None:
    """Raise InputError when the images kept by a view (V,) exclude a whole half."""
    for half in ("selection", "report"):
        rows = getattr(halves, f"validation_{half}")
        if kept.dtype == torch.bool and not kept[rows].any():
            raise InputError(
                f"view '{view}' leaves none of the {len(rows)} validation images of the {half} half; take more "
                "validation images, or leave the view out"
            )


def _rows(values: NDArray[np.float64], original: Positions, file: Path) -> NDArray[np.float64]:
    if len(original) and original.max() >= len(values):
        raise InputError(f"{file}: expected a row for each of {original.max() + 1} images or more, got {len(values)}")
    return values[original]


def _original(name: str, folders: Sequence[Path], index: Positions, labels: Positions) -> Positions:
    """Return the published positions (V,) of the images at ``index`` (V,) of the set as read."""
    if not (find_split(folders, "train") and find_split(folders, "test")):
        return index  # torchvision's order is the published one
    orders = [index]
    votes = find_view("agreement_humans", name, folders)
    if votes is not None and (order := read_votes(votes)[1]) is not None and index.max(initial=-1) < len(order):
        orders.append(order[index])
    for order in orders:
        if _agrees(name, folders, order, labels):
            return order
    raise InputError(
        f"views of {name}: the order of its parquet files' test images is not the published one, or too few labels are "
        f"known to tell; put cifar10h.npz (with row_to_original_index) or {name}_mturk.json into {folders[0]}, or read "
        "the images from torchvision's folder"
    )


def _agrees(name: str, folders: Sequence[Path], order: Positions, labels: Positions) -> bool:
    """Return whether the labels in the files agree with ``labels`` (V,) of the images at ``order`` (V,)."""
    known = np.full(max(order.max(initial=0) + 1, 1), -1)
    votes, errors = (find_view(view, name, folders) for view in ("agreement_humans", "without_label_errors"))
    if votes is not None:
        most = read_votes(votes)[0].argmax(1)[: len(known)]
        known[: len(most)] = most
    if errors is not None:
        positions, given, _wrong = read_label_errors(errors)
        inside = positions < len(known)
        known[positions[inside]] = given[inside]
    expected = known[order]
    some = expected >= 0
    return int(some.sum()) >= FEWEST and float((expected == labels)[some].mean()) >= AGREEING
