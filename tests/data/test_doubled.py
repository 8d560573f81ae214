"""What comes twice, is no label or has another type: refused by name, in every file that data are read from."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from vitmem.data.cache import cached
from vitmem.data.decoder import Decoder
from vitmem.data.human_labels import read_human
from vitmem.data.parquet import read_split
from vitmem.data.sets import ImageData, ImageSet, assemble
from vitmem.data.view_files import read_duplicates, read_label_errors, read_votes
from vitmem.errors import InputError
from vitmem.language.data.documents import documents
from vitmem.language.data.json_lines import json_lines
from vitmem.language.data.passages import read_corpus
from vitmem.noise.base import NoiseContext
from vitmem.noise.matrix import checked_matrix, read_matrix
from vitmem.noise.probabilities import read_probabilities

LABELS = np.arange(6) % 3
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)


def hub(path: Path, labels: Any = LABELS, names: Any = ("a", "b", "c"), features: Any = None) -> Path:
    """Write a split as the Hub keeps it, ``features`` in place of those that name the classes."""
    images = []
    for pixels in PIXELS:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        images.append({"bytes": buffer.getvalue(), "path": None})
    found = {"info": {"features": {"label": {"names": names}}}} if features is None else features
    table = pa.table({"img": images, "label": labels})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(found)}), path)
    return path


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"names": ["a", "b", "a"]}, "two classes have the name 'a'"),
        ({"names": ["n\u00e9", "ne\u0301", "c"]}, "two classes have the name"),
        ({"names": {"0": "a"}}, "expected a list of class names"),
        ({"names": ["a", 1, "c"]}, "expected a list of class names"),
        ({"names": []}, "expected a list of class names"),
        ({"features": {"info": ["features"]}}, "expected 'features' in the metadata 'huggingface'"),
        ({"labels": LABELS - 1}, "expected labels 0 to 2 in column 'label', got -1 to 1"),
        ({"labels": LABELS + 1}, "expected labels 0 to 2 in column 'label', got 1 to 3"),
        ({"labels": LABELS.astype(np.float64)}, "expected whole numbers in column 'label', got double"),
        ({"labels": pa.array([0, 1, None, 0, 1, 2])}, "expected a label in every row, got 1 empty ones"),
        ({"labels": np.full(6, 2**64 - 3, dtype=np.uint64)}, "expected labels in column 'label', got 1844"),
    ],
)
def test_labels_and_names_of_a_parquet_file(tmp_path: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        read_split([hub(tmp_path / "train.parquet", **options)], Decoder("parquet", tmp_path))
    assert says in str(caught.value) and "train.parquet" in str(caught.value)


def test_shards_agree_about_names_and_types(tmp_path: Path) -> None:
    first = hub(tmp_path / "train-00000-of-00002.parquet")
    second = hub(tmp_path / "train-00001-of-00002.parquet")
    assert len(read_split([first, second], Decoder("parquet", tmp_path)).images) == 12
    hub(second, names=["b", "a", "c"])
    with pytest.raises(InputError, match=r"00001-of-00002.parquet: expected the class names of train-00000"):
        read_split([first, second], Decoder("parquet", tmp_path))
    hub(second, labels=LABELS.astype(np.int32))
    with pytest.raises(InputError, match="expected the columns"):
        read_split([first, second], Decoder("parquet", tmp_path))
    image = pq.read_table(first)["img"]
    pq.write_table(pa.Table.from_arrays([image, pa.array(LABELS), pa.array(LABELS)], ["img", "label", "label"]), second)
    with pytest.raises(InputError, match="two columns have the name 'label'"):
        read_split([second], Decoder("parquet", tmp_path))


def npz(**columns: Any) -> Callable[[Path], Any]:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, **columns)

    return write


def errors(**changes: Any) -> Callable[[Path], Any]:
    columns = {"id": np.arange(6), "given": LABELS, "votes": np.ones((6, 4), dtype=np.int64)}
    return npz(**{**columns, **changes})


VOTES = np.ones((6, 3), dtype=np.int64)


@pytest.mark.parametrize(
    ("read", "write", "says"),
    [
        (read_label_errors, errors(id=np.array([0, 1, 2, 3, 3, 5])), "a repeated position of a test image"),
        (read_label_errors, errors(id=np.arange(6) - 1), "expected positions 0 to 9999"),
        (read_label_errors, errors(id=np.arange(6) / 2), "expected whole numbers, got float64"),
        (read_label_errors, errors(given=LABELS - 1), "expected labels 0 to 99"),
        (read_label_errors, errors(votes=np.full((6, 4), 6)), "expected 0 to 5 votes"),
        (read_label_errors, errors(votes=np.ones(6, dtype=int)), "expected votes, one row per image"),
        (read_label_errors, errors(votes=np.full((6, 4), np.nan)), "expected whole numbers"),
        (read_votes, npz(counts_original_order=VOTES, row_to_original_index=np.zeros(6, int)), "repeated position"),
        (read_votes, npz(counts_original_order=VOTES, row_to_original_index=np.arange(6) + 9999), "expected positions"),
        (read_votes, npz(counts_original_order=np.array([[object()]], dtype=object)), "not the expected file"),
        (read_duplicates, lambda p: p.write_text("TestID,TestID\n1,2\n"), "two columns TestID"),
        (read_duplicates, lambda p: p.write_text("TestID,TrainID\n1,2\n3\n"), "a row of another length"),
        (read_duplicates, lambda p: p.write_text("TestID,TrainID\n-1,2\n"), "expected positions 0 to 9999"),
        (read_duplicates, lambda p: p.write_text("TestID,TrainID\n"), "no rows"),
        (lambda p: read_human(p, LABELS), npz(worse=LABELS - 1), "expected class numbers from 0, got -1 to 1"),
        (lambda p: read_human(p, LABELS), npz(worse=LABELS + 200), "expected class numbers from 0, got 200 to 202"),
    ],
)
def test_files_about_cifar(tmp_path: Path, read: Any, write: Callable[[Path], Any], says: str) -> None:
    write(tmp_path / "file")
    with pytest.raises(InputError) as caught:
        read(tmp_path / "file")
    assert says in str(caught.value) and str(tmp_path / "file") in str(caught.value)


@pytest.mark.parametrize(
    ("index", "says"),
    [
        (np.array([0, 1, 2, 3, 3, 5]), "got 1 repeated positions in 'index'"),
        (np.arange(6) - 1, "expected positions from 0 in 'index', got int64 from -1"),
        (np.arange(6) + 0.5, "expected positions from 0 in 'index', got float64"),
    ],
)
def test_positions_of_probabilities(tmp_path: Path, index: np.ndarray, says: str) -> None:
    save_file({"probabilities": np.full((6, 3), 1 / 3), "index": index}, tmp_path / "p.safetensors")
    context = NoiseContext("pets", 3, index=np.arange(3))
    with pytest.raises(InputError, match=says):
        read_probabilities(str(tmp_path / "p.safetensors"), context, 3, "pmd")


MATRICES = ["[[true, 0], [0, 1]]", '[["1", 0], [0, 1]]', "[[1, 0], [false, true]]", "[[1, 1e999]]"]


@pytest.mark.parametrize("text", MATRICES)
def test_a_matrix_holds_numbers_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(InputError, match=r"no numbers|not a finite number"):
        checked_matrix(read_matrix(tmp_path / "m.json"), 2, "noise 'transition'")


def test_books_of_one_name_and_rows_without_a_text(tmp_path: Path) -> None:
    for names, texts, says in ((["a", "a"], ["x", "y"], "comes twice"), (["a", None], ["x", "y"], "expected a text")):
        pq.write_table(pa.table({"name": names, "text": texts}), tmp_path / "b.parquet")
        with pytest.raises(InputError, match=says):
            read_corpus(tmp_path / "b.parquet", "passages")


def test_texts_as_people_have_them(tmp_path: Path) -> None:
    (tmp_path / "A.TXT").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    (tmp_path / "b.JSONL").write_bytes(b'\xef\xbb\xbf{"text": "three"}\r\n\r\n{"text": "four"}\r\n')
    (tmp_path / ".c.txt").write_text("hidden")
    assert list(documents(tmp_path)) == ["one\ntwo", "three", "four"]


LINES = ['{"text": "a", "text": "b"}', '{"text": "a", "n": 1e999}', '{"text": NaN}', "[" * 99_999]


@pytest.mark.parametrize("line", LINES, ids=["doubled", "1e999", "NaN", "deep"])
def test_lines_that_lose_something(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "a"}\n' + line)
    with pytest.raises(InputError, match=r"x\.jsonl:2: "):
        list(json_lines(tmp_path / "x.jsonl"))


def pets() -> ImageData:
    images = torch.from_numpy(PIXELS).permute(0, 3, 1, 2)
    train, held_out = (ImageSet(images + n, torch.from_numpy(LABELS + 0), torch.arange(6)) for n in range(2))
    return assemble("pets", train, held_out, ("a", "b", "c"))


def test_a_damaged_cache_is_told_and_made_anew(tmp_path: Path) -> None:
    right = cached(tmp_path, "pets", "0", pets)
    (file,) = tmp_path.iterdir()
    for place in (-1, -300, 40):  # a pixel, another, the header
        content = bytearray(file.read_bytes())
        content[place] ^= 1
        file.write_bytes(content)
        found = cached(tmp_path, "pets", "0", pets)
        assert found.remarks == (f"cache of 'pets': {file} is damaged; the images are decoded anew",)
        assert found.fingerprint == right.fingerprint and cached(tmp_path, "pets", "0", pets).remarks == ()


def test_classes_of_one_name_have_no_data_set() -> None:
    data = pets()
    with pytest.raises(InputError, match="data 'pets': two classes have the name 'a'"):
        assemble("pets", data.train, data.validation, ("a", "b", "a"))
