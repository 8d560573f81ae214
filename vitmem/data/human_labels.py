"""Find and read the human labels of CIFAR (CIFAR-10N and CIFAR-100N, Wei et al. 2022).

Two kinds of file: ``cifar10n.npz``, and the published ``CIFAR-10_human.pt``, which is a pickle and is
read with a loader that builds nothing but arrays. Both are in the order of torchvision's training set.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vitmem.errors import InputError

FILES = {
    "cifar10": ("cifar10n.npz", "CIFAR-10_human.pt"),
    "cifar100": ("cifar100n.npz", "CIFAR-100_human.pt"),
}
CLEAN = "clean_label"


def find_human(name: str, folders: Sequence[Path]) -> list[Path]:
    """Return the first file of human labels of data set ``name`` in ``folders``, or an empty list."""
    for folder in folders:
        for file in FILES[name]:
            if (folder / file).is_file():
                return [folder / file]
    return []


def read_human(file: Path, labels: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Return the columns of ``file``, each (n,), superclass columns left out.

    Raises InputError when the file is torn, has another length than ``labels`` (n,), or has other clean
    labels, which means that it belongs to another order of the images.
    """
    try:
        columns = _read_pickle(file) if file.suffix == ".pt" else _read_npz(file)
    except (
        OSError,
        ValueError,
        KeyError,
        zipfile.BadZipFile,
        EOFError,
        RuntimeError,
        pickle.UnpicklingError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{file}: not a readable file of human labels ({reason}); fetch the file again") from None
    kept = {k: np.asarray(v).astype(np.int64) for k, v in columns.items() if "coarse" not in k}
    for column, values in kept.items():
        if values.shape != labels.shape:
            raise InputError(
                f"{file}: expected {len(labels)} labels in column '{column}', one a training image, got {values.size}"
            )
    clean = kept.pop(CLEAN, None)
    if clean is not None and not np.array_equal(clean, labels):
        raise InputError(
            f"{file}: its clean labels differ from the images' in {int((clean != labels).sum())} places; "
            "the images must be in the order of torchvision's training set"
        )
    return kept


def _read_npz(file: Path) -> dict[str, NDArray[np.integer]]:
    with np.load(file, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _read_pickle(file: Path) -> dict[str, NDArray[np.integer]]:
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
    return {str(k): np.asarray(v) for k, v in stored.items()}
