"""Find and read the human labels of CIFAR (CIFAR-10N and CIFAR-100N, Wei et al. 2022).

Two kinds of file: ``cifar10n.npz``, and the published ``CIFAR-10_human.pt``, a pickle that is read with a loader for
arrays only. Both are in the order of torchvision's training set.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vitmem.errors import InputError, one_line
from vitmem.files import check_readable
from vitmem.npz import read_npz

FILES = {
    "cifar10": ("cifar10n.npz", "CIFAR-10_human.pt"),
    "cifar100": ("cifar100n.npz", "CIFAR-100_human.pt"),
}
CLEAN = "clean_label"
LAST_CLASS = 99  # of CIFAR-100


def find_human(name: str, folders: Sequence[Path]) -> list[Path]:
    """Return the first file of human labels of dataset ``name`` in ``folders``, or an empty list."""
    for folder in folders:
        for file in FILES[name]:
            if os.path.exists(folder / file):
                return [folder / file]
    return []


def read_human(file: Path, labels: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Return the columns of ``file``, each (n,), without superclass columns.

    Raises InputError when the file is damaged, a column differs in length from ``labels`` (n,) or has other values than
    whole numbers, or its clean labels differ, which means another order of the images.
    """
    check_readable(file, "a file of human labels")
    try:
        columns = _read_pickle(file) if file.suffix == ".pt" else read_npz(file)
    except Exception as error:  # zip, zlib, numpy and pickle raise their own errors
        reason = _reason(error)
        raise InputError(f"{file}: not a readable file of human labels ({reason}); fetch the file again") from None
    kept = {k: _whole_numbers(v, len(labels), f"{file}: column '{k}'") for k, v in columns.items() if "coarse" not in k}
    clean = kept.pop(CLEAN, None)
    if clean is not None and not np.array_equal(clean, labels):
        raise InputError(
            f"{file}: its clean labels differ from the images' in {int((clean != labels).sum())} places; "
            "the images must be in the order of torchvision's training set"
        )
    return kept


def _reason(error: Exception) -> str:
    """Return a short reason; numpy and torch advise loading the rejected pickle anyway."""
    if isinstance(error, pickle.UnpicklingError) or "pickle" in str(error):
        return "no array, or more than arrays"
    return one_line(error)


def _whole_numbers(values: NDArray[Any], count: int, where: str) -> NDArray[np.int64]:
    """Return a column of ``count`` labels as int64; raises InputError, prefixed with ``where``, for other values."""
    if values.shape != (count,):
        shape = " x ".join(map(str, values.shape)) or "one"
        raise InputError(f"{where}: expected {count} labels, one per training image, got {shape}")
    if not np.issubdtype(values.dtype, np.integer):
        raise InputError(f"{where}: expected whole numbers, got {values.dtype}; convert the column to class numbers")
    if values.min(initial=0) < 0 or values.max(initial=0) > LAST_CLASS:
        raise InputError(f"{where}: expected class numbers from 0, got {values.min()} to {values.max()}")
    return values.astype(np.int64)


def _read_pickle(file: Path) -> dict[str, NDArray[Any]]:
    reconstruct = np.ndarray(0).__reduce__()[0]
    allowed: list[Any] = [
        np.ndarray,
        np.dtype,
        np.dtypes.Int64DType,
        np.dtypes.Int32DType,
        np.dtypes.UInt8DType,
        (reconstruct, "numpy.core.multiarray._reconstruct"),
        (reconstruct, "numpy._core.multiarray._reconstruct"),
    ]
    with torch.serialization.safe_globals(allowed):
        stored = torch.load(file, weights_only=True)
    if not isinstance(stored, dict):
        raise ValueError(f"a {type(stored).__name__}, not columns by name")
    return {str(k): np.asarray(v) for k, v in stored.items()}
