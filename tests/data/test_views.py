"""Views of CIFAR's test images: files made by hand in every format, orders that do not fit, and the real counts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from vitmem.data.view_files import file_sha256, read_label_errors
from vitmem.data.views import load_view, view_folders
from vitmem.errors import InputError

REAL = Path(os.environ.get("VITMEM_DATA_DIR", Path(__file__).parents[3] / "shared" / "data"))
needs_real = pytest.mark.skipif(
    not (REAL / "cifar10" / "train.parquet").exists(), reason=f"no CIFAR in {REAL}; set VITMEM_DATA_DIR"
)
# eight images in the published order, and the rows of a parquet file that has them in another
LABELS = np.array([3, 8, 8, 0, 6, 6, 1, 6])
ROWS = np.array([5, 0, 7, 1, 6, 2, 4, 3])
COUNTS = np.eye(10, dtype=np.int64)[LABELS] * 40
COUNTS[:, 9] += 10


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    (tmp_path / "data" / "cifar10").mkdir(parents=True)
    return view_folders("cifar10", tmp_path / "data", tmp_path / "cache")


def duplicates(folder: Path, *test: int, name: str = "duplicates_test_train.csv") -> None:
    lines = ["TestID,TrainID,Distance,Judgment", *(f"{i},{i + 100},0.1,1" for i in test)]
    (folder / name).write_text("\n".join(lines) + "\n")


def label_errors(folder: Path, *entries: tuple[int, int]) -> None:
    """Write entries of position and votes for the given label, as an npz."""
    index, votes = np.array(entries).T
    columns = np.stack([votes, 5 - votes, 0 * votes, 0 * votes], 1)
    np.savez(folder / "label_errors_test.npz", id=index, given=LABELS[index], votes=columns)


def parquet_beside(folder: Path) -> None:
    """Make the images come from parquet files: their names are enough, nothing decodes them here."""
    for split in ("train", "test"):
        (folder / f"{split}.parquet").touch()


def view(name: str, folders: list[Path], index: np.ndarray, labels: np.ndarray) -> list:
    return load_view(name, "cifar10", folders, torch.from_numpy(index), torch.from_numpy(labels)).tolist()


def test_images_of_torchvision_are_in_the_published_order(folders: list[Path]) -> None:
    duplicates(folders[0], 6, 2, 2)
    some = np.array([1, 2, 5, 6])  # a part of the validation images
    assert view("without_duplicates", folders, some, LABELS[some]) == [True, False, True, False]
    label_errors(folders[0], (1, 2), (5, 3))
    assert view("without_label_errors", folders, some, LABELS[some]) == [False, True, True, True]


def test_votes_are_shares(folders: list[Path]) -> None:
    np.save(folders[1] / "cifar10h-counts.npy", COUNTS)
    found = np.array(view("agreement_humans", folders, np.array([0, 7]), LABELS[[0, 7]]))
    assert found.shape == (2, 10) and found.sum(1) == pytest.approx(1)
    assert (found[0, 3], found[1, 6], found[0, 9]) == (0.8, 0.8, 0.2)


def test_parquet_files_of_another_order_are_mapped(folders: list[Path]) -> None:
    parquet_beside(folders[0])
    np.savez(folders[0] / "cifar10h.npz", counts_original_order=COUNTS, row_to_original_index=ROWS)
    duplicates(folders[0], 6, 2)
    rows = np.arange(8)
    assert view("without_duplicates", folders, rows, LABELS[ROWS]) == [i not in (2, 6) for i in ROWS]
    assert np.array(view("agreement_humans", folders, rows, LABELS[ROWS])).argmax(1).tolist() == LABELS[ROWS].tolist()
    # the same files beside images that are in the published order
    assert view("without_duplicates", folders, rows, LABELS) == [i not in (2, 6) for i in rows]


def test_an_order_that_nothing_vouches_for_is_refused(folders: list[Path]) -> None:
    parquet_beside(folders[0])
    duplicates(folders[0], 6, 2)
    with pytest.raises(InputError, match="views of cifar10: the order of its parquet files' test images is not"):
        view("without_duplicates", folders, np.arange(8), LABELS)
    label_errors(folders[0], *((i, 5) for i in range(8)))
    assert view("without_duplicates", folders, np.arange(8), LABELS) == [i not in (2, 6) for i in range(8)]
    with pytest.raises(InputError, match=r"put cifar10h.npz \(with row_to_original_index\) or cifar10_mturk.json into"):
        view("without_duplicates", folders, np.arange(8), LABELS[ROWS])


def test_the_published_files_are_read(folders: list[Path]) -> None:
    duplicates(folders[0], 4, name="duplicates_cifar10.csv")
    assert view("without_duplicates", folders, np.array([3, 4]), LABELS[[3, 4]]) == [True, False]
    votes = [{"given": n, "guessed": 5 - n, "both": 0, "neither": 0} for n in (0, 2, 3, 5)]
    entries = [{"id": i, "given_original_label": int(LABELS[i]), "mturk": v} for i, v in enumerate(votes)]
    (folders[0] / "cifar10_mturk.json").write_text(json.dumps(entries))
    assert read_label_errors(folders[0] / "cifar10_mturk.json")[2].tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "without_duplicates",
            r"no duplicates_test_train.csv or duplicates_cifar10.csv in .*get it from github.com/cvj",
        ),
        (
            "without_label_errors",
            r"no label_errors_test.npz or cifar10_mturk.json in .*github.com/cleanlab/label-errors",
        ),
        ("agreement_humans", r"no cifar10h.npz or cifar10h-counts.npy in .*github.com/jcpeterson/cifar-10h"),
    ],
)
def test_a_missing_file_is_one_sentence(name: str, says: str, folders: list[Path]) -> None:
    with pytest.raises(InputError, match=says) as caught:
        view(name, folders, np.arange(8), LABELS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        ("without_duplicates", "duplicates_test_train.csv", b"TrainID\n3\n"),
        ("without_duplicates", "duplicates_test_train.csv", b"TestID\nthree\n"),
        ("without_label_errors", "label_errors_test.npz", b"PK\x03\x04 torn"),
        ("without_label_errors", "cifar10_mturk.json", b'[{"id": 3}]'),
        ("agreement_humans", "cifar10h-counts.npy", b""),
    ],
)
def test_a_torn_file_is_one_sentence(name: str, file: str, content: bytes, folders: list[Path]) -> None:
    (folders[0] / file).write_bytes(content)
    with pytest.raises(InputError, match=f"{file}: not the expected file"):
        view(name, folders, np.arange(8), LABELS)


def test_votes_of_too_few_images(folders: list[Path]) -> None:
    np.save(folders[0] / "cifar10h-counts.npy", COUNTS[:4])
    with pytest.raises(InputError, match="expected a row for each of 8 images or more, got 4"):
        view("agreement_humans", folders, np.arange(8), LABELS)
    np.save(folders[0] / "cifar10h-counts.npy", COUNTS * 0)
    with pytest.raises(InputError, match=r"expected positive counts of votes for each image, got 8"):
        view("agreement_humans", folders, np.arange(8), LABELS)


def test_a_digest_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_sha256(tmp_path / "a") == "ba7816bf8f01cfea"


@needs_real
@pytest.mark.parametrize(
    ("name", "column", "twins", "errors"), [("cifar10", "label", 286, 54), ("cifar100", "fine_label", 891, 585)]
)
def test_real_counts(name: str, column: str, twins: int, errors: int, tmp_path: Path) -> None:
    labels = torch.from_numpy(pq.read_table(REAL / name / "test.parquet", columns=[column])[column].to_numpy().copy())
    folders = view_folders(name, REAL, tmp_path)
    index = torch.arange(10_000)
    assert int((~load_view("without_duplicates", name, folders, index, labels)).sum()) == twins
    assert int((~load_view("without_label_errors", name, folders, index, labels)).sum()) == errors
    if name == "cifar10":
        votes = load_view("agreement_humans", name, folders, index, labels)
        # what people agree with the labels, as published for CIFAR-10H: about 95 %
        assert float(votes.gather(1, labels[:, None]).mean()) == pytest.approx(0.9523, abs=1e-4)
        assert float((votes.argmax(1) == labels).double().mean()) == 0.9921
        assert votes[[0, 1]].argmax(1).tolist() == labels[[0, 1]].tolist() != [3, 8]  # rows are not in that order
    some = torch.arange(0, 10_000, 37)
    part = load_view("without_duplicates", name, folders, some, labels[some])
    assert torch.equal(part, load_view("without_duplicates", name, folders, index, labels)[some])
