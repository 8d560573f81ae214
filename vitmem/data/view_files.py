"""Files about the test images of CIFAR, each as published or as an equivalent npz, in the original order.

Duplicates (ciFAIR, Barz and Denzler 2020), label errors checked by people (Northcutt et al. 2021), and the votes of
about 51 people on each image (CIFAR-10H, Peterson et al. 2019).
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitmem.errors import InputError, one_line
from vitmem.files import check_readable, file_digest, read_text, readable
from vitmem.npz import read_npz
from vitmem.parsing import parse_json

WORKERS = 5  # people who checked each label
TESTS, LAST_CLASS = 10_000, 99  # test images of CIFAR, and the last class of CIFAR-100


@dataclass(frozen=True)
class ViewFile:
    """The possible names of a file (``{}`` is the dataset), and the source of the published one."""

    names: tuple[str, ...]
    source: str


FILES = {
    "without_duplicates": ViewFile(
        ("duplicates_test_train.csv", "duplicates_{}.csv"), "github.com/cvjena/cifair (meta/duplicates_{}.csv)"
    ),
    "without_label_errors": ViewFile(
        ("label_errors_test.npz", "{}_mturk.json"), "github.com/cleanlab/label-errors (mturk/{}_mturk.json)"
    ),
    "agreement_humans": ViewFile(
        ("cifar10h.npz", "cifar10h-counts.npy"), "github.com/jcpeterson/cifar-10h (data/cifar10h-counts.npy)"
    ),
}


def find_view(view: str, name: str, folders: Sequence[Path]) -> Path | None:
    """Return the file of ``view`` for dataset ``name`` in the first of ``folders`` that has one."""
    paths = (folder / file.format(name) for folder in folders for file in FILES[view].names)
    return next((path for path in paths if os.path.exists(path)), None)


def need_view(view: str, name: str, folders: Sequence[Path]) -> Path:
    """Return the file of ``view``; raises InputError with its source when it is missing."""
    path = find_view(view, name, folders)
    if path is None:
        names = " or ".join(file.format(name) for file in FILES[view].names)
        raise InputError(
            f"view '{view}' of {name}: no {names} in {' or '.join(map(str, folders[:2]))}; "
            f"get it from {FILES[view].source.format(name)}"
        )
    return path


def file_sha256(file: Path) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of a file; raises InputError when it cannot be read."""
    with readable(file, "a file about test images"):
        return file_digest(file)[:16]


def read_duplicates(file: Path) -> NDArray[np.int64]:
    """Return the original positions (n,) of test images with a duplicate in the training set."""

    def read() -> Any:
        table = csv.DictReader(read_text(file, "a table of duplicates").splitlines(), strict=True)
        columns = list(table.fieldnames or ()).count("TestID")
        if columns != 1:
            raise ValueError("two columns TestID" if columns else "no column TestID")
        rows = list(table)
        if not rows or any(None in row or None in row.values() for row in rows):
            raise ValueError("no rows, or a row of another length than the first line")
        return _positions([int(row["TestID"]) for row in rows], distinct=False)

    return np.unique(_read(file, read))


def read_label_errors(file: Path) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return original positions, the dataset's labels and whether these are wrong, (n,) each.

    Five people checked each label: it is wrong when fewer than three chose it over the suggested label, the criterion
    of the paper.
    """

    def read() -> Any:
        if file.suffix == ".json":
            found = parse_json(read_text(file, "label errors"), str(file))
            return _checked_errors([(e["id"], e["given_original_label"], e["mturk"]["given"]) for e in found])
        stored = read_npz(file)
        columns = _whole(stored["id"]), _whole(stored["given"]), _votes(stored["votes"])
        return _checked_errors(np.stack(columns, 1))

    index, given, votes = _read(file, read).reshape(-1, 3).T
    return index, given, 2 * votes < WORKERS


def read_votes(file: Path) -> tuple[NDArray[np.float64], NDArray[np.int64] | None]:
    """Return the shares of the votes (N, K) in the original order, and the original positions of a file's rows (N,).

    The latter is ``None`` for a file without them.
    """

    def read() -> Any:
        if file.suffix == ".npy":
            return _real(np.load(file, allow_pickle=False)), None
        columns = read_npz(file)
        rows = columns.get("row_to_original_index")
        order = None if rows is None else _positions(rows, distinct=True)
        return _real(columns["counts_original_order"]), order

    shares, order = _read(file, read)
    if shares.ndim != 2:
        raise InputError(f"{file}: expected votes (N, K), one row per image, got an array of {shares.shape}")
    wrong = int((~np.isfinite(shares) | (shares < 0)).any(1).sum() + (shares.sum(1) == 0).sum())
    if wrong:
        raise InputError(f"{file}: expected positive counts of votes for each image, got {wrong} other rows")
    return shares / shares.sum(1, keepdims=True), order


def _whole(values: Any) -> NDArray[np.int64]:
    """Return ``values`` as int64; raises ValueError unless they are whole numbers."""
    integers = np.asarray(values)
    if not np.issubdtype(integers.dtype, np.integer):
        raise ValueError(f"expected whole numbers, got {integers.dtype}")
    if integers.size and int(integers.max()) > np.iinfo(np.int64).max:
        raise ValueError(f"expected numbers of 64 bits, got {integers.max()}")
    return integers.astype(np.int64)


def _real(values: NDArray[Any]) -> NDArray[np.float64]:
    if not (np.issubdtype(values.dtype, np.integer) or np.issubdtype(values.dtype, np.floating)):
        raise ValueError(f"expected numbers, got {values.dtype}")
    return values.astype(np.float64)


def _positions(values: Any, distinct: bool) -> NDArray[np.int64]:
    """Return positions of test images (n,); raises ValueError for other values, or repeated ones if ``distinct``."""
    positions = _whole(values)
    if positions.ndim != 1 or (positions.size and (positions.min() < 0 or positions.max() >= TESTS)):
        raise ValueError(f"expected positions 0 to {TESTS - 1} of test images, got others")
    if distinct and len(np.unique(positions)) < len(positions):
        raise ValueError("a repeated position of a test image")
    return positions


def _votes(votes: NDArray[Any]) -> NDArray[np.int64]:
    if votes.ndim != 2 or not votes.shape[1]:
        raise ValueError(f"expected votes, one row per image, got an array of {votes.shape}")
    return _whole(votes[:, 0])


def _checked_errors(rows: Any) -> NDArray[np.int64]:
    """Return rows (n, 3) of position, label and votes for it, after checking the ranges."""
    table = _whole(rows)
    if table.ndim != 2 or table.shape[1] != 3:
        raise ValueError(f"expected rows of position, label and votes, got an array of {table.shape}")
    _positions(table[:, 0], distinct=True)
    if (table[:, 1] < 0).any() or (table[:, 1] > LAST_CLASS).any():
        raise ValueError(f"expected labels 0 to {LAST_CLASS}, got others")
    if (table[:, 2] < 0).any() or (table[:, 2] > WORKERS).any():
        raise ValueError(f"expected 0 to {WORKERS} votes, got others")
    return table


def _read(file: Path, read: Callable[[], Any]) -> Any:
    check_readable(file, "a file about test images")
    try:
        return read()
    except InputError:
        raise
    except Exception as error:  # csv, json, zip, zlib and numpy raise their own errors
        raise InputError(f"{file}: not the expected file ({one_line(error)}); fetch it again") from None
