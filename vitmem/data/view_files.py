"""Files about the test images of CIFAR, each as published or as an npz of the same numbers, in the original order.

Duplicates (ciFAIR, Barz and Denzler 2020), label errors that people checked (Northcutt et al. 2021), and the votes of
about 51 people on each image (CIFAR-10H, Peterson et al. 2019).
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitmem.errors import InputError, one_line
from vitmem.files import check_readable, file_digest, read_text
from vitmem.parsing import parse_json

WORKERS = 5  # who checked each label


@dataclass(frozen=True)
class ViewFile:
    """The names that a file may have (``{}`` is the data set), and where the published one is to be had."""

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
    """Return the file of ``view`` for data set ``name`` in the first of ``folders`` that has one."""
    paths = (folder / file.format(name) for folder in folders for file in FILES[view].names)
    return next((path for path in paths if path.is_file()), None)


def need_view(view: str, name: str, folders: Sequence[Path]) -> Path:
    """Return the file of ``view``; raises InputError saying where to get it when there is none."""
    found = find_view(view, name, folders)
    if found is None:
        names = " or ".join(file.format(name) for file in FILES[view].names)
        raise InputError(
            f"view '{view}' of {name}: no {names} in {' or '.join(map(str, folders[:2]))}; "
            f"get it from {FILES[view].source.format(name)}"
        )
    return found


def file_sha256(file: Path) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of a file."""
    return file_digest(file)[:16]


def read_duplicates(file: Path) -> NDArray[np.int64]:
    """Return the original positions (n,) of test images that have a twin in the training set."""

    def read() -> Any:
        with file.open(newline="") as lines:
            table = csv.DictReader(lines)
            if "TestID" not in (table.fieldnames or ()):
                raise ValueError("no column TestID")
            return np.array([int(line["TestID"]) for line in table], dtype=np.int64)

    return np.unique(_read(file, read))


def read_label_errors(file: Path) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return original positions, labels as the data set has them and whether these are wrong, (n,) each.

    Five people looked at each: it is wrong when fewer than three said that the image shows the label and not the other
    one that was suggested, the count of the paper.
    """

    def read() -> Any:
        if file.suffix == ".json":
            found = parse_json(read_text(file, "label errors"), str(file))
            return _whole([(e["id"], e["given_original_label"], e["mturk"]["given"]) for e in found])
        with np.load(file, allow_pickle=False) as stored:
            return _whole(np.stack([stored["id"], stored["given"], stored["votes"][:, 0]], 1))

    index, given, votes = _read(file, read).reshape(-1, 3).T
    return index, given, 2 * votes < WORKERS


def read_votes(file: Path) -> tuple[NDArray[np.float64], NDArray[np.int64] | None]:
    """Return the shares of the votes (N, K) in the original order, and the original positions of a file's rows (N,).

    The latter is ``None`` where the file does not say.
    """

    def read() -> Any:
        stored = np.load(file, allow_pickle=False)
        if file.suffix == ".npy":
            return stored.astype(np.float64), None
        with stored:
            order = _whole(stored["row_to_original_index"]) if "row_to_original_index" in stored.files else None
            return stored["counts_original_order"].astype(np.float64), order

    shares, order = _read(file, read)
    if shares.ndim != 2:
        raise InputError(f"{file}: expected votes (N, K), an image a row, got an array of {shares.shape}")
    wrong = int((~np.isfinite(shares) | (shares < 0)).any(1).sum() + (shares.sum(1) == 0).sum())
    if wrong:
        raise InputError(f"{file}: expected counts of votes, some for each image, got {wrong} rows that are no such")
    return shares / shares.sum(1, keepdims=True), order


def _whole(values: Any) -> NDArray[np.int64]:
    return np.asarray(values, dtype=np.int64)


def _read(file: Path, read: Callable[[], Any]) -> Any:
    check_readable(file, "a file about the test images")
    try:
        return read()
    except InputError:
        raise
    except Exception as error:  # csv, json, zip, zlib and numpy each have errors of their own
        raise InputError(f"{file}: not the file that was expected ({one_line(error)}); fetch it again") from None
