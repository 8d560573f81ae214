"""Labels from a file: the same from every form of it, by position or by row, and what is refused."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitmem.errors import InputError
from vitmem.noise.base import NoiseContext, NoisyLabels
from vitmem.noise.label_file import read_labels

Draw = Callable[..., NoisyLabels]
COUNT, NAMES = 40, ("ant", "bee", "NA", "1")
CLEAN = np.arange(COUNT) % 4
GIVEN = np.where(np.arange(COUNT) % 5 == 0, (CLEAN + 1) % 4, CLEAN)


def table(path: Path, **columns: Any) -> Path:
    """Write a CSV with Python's writer."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def context(folder: Path, **changes: Any) -> dict[str, Any]:
    return {"data_dir": folder, "classes": NAMES, "index": np.arange(COUNT), **changes}


def read(path: Path, index: np.ndarray, num_classes: int, classes: tuple[str, ...], **known: Any) -> np.ndarray:
    return read_labels(path, None, index, NoiseContext("x", num_classes, classes=classes, **known), "here")


def named(labels: np.ndarray) -> list[str]:
    return [NAMES[label] for label in labels]


NUMBERS = ("ant", "bee", "NA", "cat")
FORMS: dict[str, Callable[[Path], Any]] = {
    "numbers.csv": lambda p: table(p, label=GIVEN),
    "names.csv": lambda p: table(p, noisy=named(GIVEN)),
    "spaced.csv": lambda p: p.write_text("label\r\n" + "".join(f" {name} \r\n" for name in named(GIVEN))),
    "marked.csv": lambda p: p.write_bytes(b"\xef\xbb\xbflabel\n" + "\n".join(named(GIVEN)).encode()),
    "quoted.csv": lambda p: p.write_text("label\n" + "\n".join(f'"{name}"' for name in named(GIVEN))),
    "positions.csv": lambda p: table(p, index=np.arange(COUNT)[::-1], label=named(GIVEN[::-1])),
    "pandas.csv": lambda p: pd.DataFrame({"label": named(GIVEN)}).sample(frac=1, random_state=0).to_csv(p),
    "numbers.npz": lambda p: np.savez(p, label=GIVEN.astype(np.uint8)),
    "names.npz": lambda p: np.savez_compressed(p, label=np.array(named(GIVEN))),
    "positions.npz": lambda p: np.savez(p, label=GIVEN[::-1], index=np.arange(COUNT)[::-1].astype(np.uint16)),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_has_the_same_labels(draw: Draw, tmp_path: Path, name: str) -> None:
    FORMS[name](tmp_path / name)
    # where a name is a number too, numbers of classes are named otherwise
    names = NUMBERS if name.startswith(("numbers", "positions.npz")) else NAMES
    found = draw("file", CLEAN, 4, context=context(tmp_path, classes=names), path=name)
    assert found.given.tolist() == GIVEN.tolist() and found.nominal is None
    rows = np.array([3, 5, 20, 39])
    part = draw("file", CLEAN[rows], 4, context=context(tmp_path, classes=names, index=rows), path=name)
    assert part.given.tolist() == GIVEN[rows].tolist()


def test_one_of_several_columns(draw: Draw, tmp_path: Path) -> None:
    table(tmp_path / "x.csv", a=GIVEN, b=CLEAN, text=["x"] * COUNT)
    plain = context(tmp_path, classes=())
    assert draw("file", CLEAN, 4, context=plain, path="x.csv", key="a").given.tolist() == GIVEN.tolist()
    assert not draw("file", CLEAN, 4, context=plain, path="x.csv", key="b").changed.any()
    assert draw("file", CLEAN, 4, context={}, path=str(tmp_path / "x.csv"), key="a").given.tolist() == GIVEN.tolist()


def test_numbers_are_names_where_all_names_are_numbers(tmp_path: Path) -> None:
    table(tmp_path / "x.csv", label=[1, 2, 10])
    assert read(tmp_path / "x.csv", np.arange(3), 3, ("1", "2", "10")).tolist() == [0, 1, 2]
    assert read(tmp_path / "x.csv", np.arange(3), 11, ("a",) * 11).tolist() == [1, 2, 10]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.randoms())
def test_rows_with_positions_may_have_any_order(
    tmp_path_factory: pytest.TempPathFactory, labels: list[int], random: Any
) -> None:
    path = tmp_path_factory.mktemp("labels") / "x.csv"
    rows = list(enumerate(labels))
    random.shuffle(rows)
    table(path, index=[row[0] for row in rows], label=[row[1] for row in rows])
    some = np.sort(np.array(random.sample(range(len(labels)), random.randint(1, len(labels)))))
    assert read(path, some, 4, ()).tolist() == [labels[i] for i in some]


FILES = np.array(["ant/1.jpg", "ant/2.jpg", "bee/2.jpg", "bee/é.jpg"], dtype=object)
STORED = np.array([name.encode() for name in FILES])


@pytest.mark.parametrize("names", [FILES, ["1.jpg", "./ant/2.jpg", "bee\\2.jpg", "e\u0301.jpg"]])
def test_rows_with_files_may_have_any_order(tmp_path: Path, names: list[str]) -> None:
    rows = [2, 0, 3, 1]
    files = [*(names[row] for row in rows), "other/9.jpg"]
    path = table(tmp_path / "x.csv", file=files, label=[f"{row % 2}" for row in rows] + ["0"])
    for index in (np.arange(4), np.array([1, 3])):
        assert read(path, index, 2, ("ant", "bee"), files=STORED).tolist() == (index % 2).tolist()


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (FILES[:3], "1 of 4 training images have no row, the first is 'bee/é.jpg'; the first row names 'ant/1.jpg'"),
        ([*FILES, "1.jpg"], "'ant/1.jpg' has two rows, 0 and 4"),
        (["2.jpg", *FILES], "row 0: several images have the name '2.jpg'; expected <class>/<name>"),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, files: list[str], says: str) -> None:
    path = table(tmp_path / "x.csv", file=files, label=["0"] * len(files))
    with pytest.raises(InputError) as error:
        read(path, np.arange(4), 2, (), files=STORED)
    assert str(error.value) == f"here: {path}: {says}"


@pytest.mark.parametrize("count", [39, 41])
def test_a_part_of_the_images_needs_as_many_labels_as_there_are_images(tmp_path: Path, count: int) -> None:
    path = table(tmp_path / "x.csv", label=np.resize(GIVEN, count))
    with pytest.raises(InputError, match=f"expected 40 labels, one per image of the original .* got {count}"):
        read(path, np.array([3, 5]), 4, NAMES, total=40)


COLUMN = "x.csv: column 'label': expected numbers 0 to 3 or class names, got "


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"label": [*GIVEN[:-1], 4]}, f"{COLUMN}1 other labels, '4' in row 39"),
        ({"label": [-1, *GIVEN[1:]]}, f"{COLUMN}1 other labels, '-1' in row 0"),
        ({"label": ["nan", "", *GIVEN[2:]]}, f"{COLUMN}2 other labels, 'nan' in row 0"),
        ({"label": ["", *GIVEN[1:]]}, f"{COLUMN}1 other labels, no label in row 0"),
        ({"label": GIVEN.astype(float)}, f"{COLUMN}40 other labels, '1.0' in row 0"),
        ({"label": ["wasp", *named(GIVEN[1:])]}, f"{COLUMN}1 other labels, 'wasp' in row 0"),
        (
            {"label": GIVEN[1:]},
            "expected 40 labels, one per image of the original training set, got 39; a file of some",
        ),
        ({"label": [*GIVEN, 1]}, "expected 40 labels, one per image of the original training set, got 41"),
        ({"label": GIVEN, "other": GIVEN}, "expected one column of labels, got label, other; name one as 'key'"),
        ({"index": range(COUNT)}, "expected one column of labels, got none; name one as 'key'"),
        (
            {"label": GIVEN, "index": [*range(39), 38]},
            "expected one row per image, got 1 repeated positions in 'index'",
        ),
        ({"label": GIVEN, "index": [*range(39), 40]}, "1 of 40 training images have no row, by their 'index'"),
        ({"label": GIVEN[1:], "index": range(39)}, "1 of 40 training images have no row, by their 'index'"),
        ({"label": GIVEN, "index": [-1, *range(39)]}, "expected positions from 0 in 'index', got '-1'"),
        ({"label": GIVEN, "index": [0.5, *range(39)]}, "expected positions from 0 in 'index', got '0.5'"),
        ({"label": GIVEN, "index": ["9" * 30, *range(39)]}, "expected positions from 0 in 'index', got '9999"),
        ({"2": GIVEN}, "expected a header, such as 'label', in the first line, got '2'"),
        ({"bee": named(GIVEN)}, "expected a header, such as 'label', in the first line, got 'bee'"),
    ],
)
def test_what_does_not_fit(draw: Draw, tmp_path: Path, columns: dict[str, Any], says: str) -> None:
    table(tmp_path / "x.csv", **columns)
    with pytest.raises(InputError) as caught:
        draw("file", CLEAN, 4, context=context(tmp_path), path="x.csv")
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"noise 'file': {tmp_path}")


TEXTS = "\n".join(named(GIVEN))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.csv", "", "not a readable file of labels"),
        ("x.csv", f"label\n\n{TEXTS}", "1 other labels, no label in row 0"),
        ("x.csv", f"label,label\n{TEXTS}", "two columns have the name 'label'"),
        ("x.csv", f"index,\n{TEXTS}", "'': expected numbers 0 to 3 or class names, got 40 other labels"),
        ("x.csv", f"label\n{TEXTS}\nant,bee", "not a readable file of labels"),
        ("x.csv", b"label\n\xff\xfe", "expected labels as CSV in UTF-8"),
        ("x.npz", "no zip", "not a readable file of labels"),
        ("x.txt", TEXTS, "expected labels as .csv or .npz, got .txt"),
        ("labels", TEXTS, "expected labels as .csv or .npz, got a name without a suffix"),
    ],
)
def test_no_such_file_or_another_kind(draw: Draw, tmp_path: Path, name: str, content: str | bytes, says: str) -> None:
    with pytest.raises(InputError, match="no such file; give one inside --data-dir, or its whole path"):
        draw("file", CLEAN, 4, context=context(tmp_path), path=name)
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError) as caught:
        draw("file", CLEAN, 4, context=context(tmp_path), path=name)
    assert says in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"label": GIVEN.astype(float)}, "'label': expected a list of whole numbers or texts, got 40 of type float64"),
        ({"label": GIVEN > 0}, "expected a list of whole numbers or texts, got 40 of type bool"),
        (
            {"label": np.eye(4)[GIVEN].astype(int)},
            "expected a list of whole numbers or texts, got 40 x 4 of type int64",
        ),
        (
            {"label": GIVEN.astype(object)},
            "not a readable file of labels (other things than arrays of numbers or texts)",
        ),
        ({"a": GIVEN, "b": GIVEN}, "expected one column of labels, got a, b"),
        ({"label": GIVEN, "index": np.arange(COUNT) / 2}, "'index': expected a list of whole numbers or texts"),
        ({"label": GIVEN[:-1]}, "expected 40 labels, one per image of the original training set, got 39"),
    ],
)
def test_arrays_that_do_not_fit(draw: Draw, tmp_path: Path, arrays: dict[str, Any], says: str) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(InputError) as caught:
        draw("file", CLEAN, 4, context=context(tmp_path), path="x.npz")
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_part_of_the_images_needs_rows_for_the_last_of_them(draw: Draw, tmp_path: Path) -> None:
    table(tmp_path / "x.csv", label=GIVEN[:30])
    rows = np.array([1, 2, 30])
    with pytest.raises(
        InputError, match="expected at least 31 labels, one per image of the original training set, got 30"
    ):
        draw("file", CLEAN[rows], 4, context=context(tmp_path, index=rows), path="x.csv")
    with pytest.raises(InputError, match="'lable'; did you mean 'label'"):
        draw("file", CLEAN, 4, context=context(tmp_path), path="x.csv", key="lable")
