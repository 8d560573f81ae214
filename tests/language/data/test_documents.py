"""Texts of one's own: read from files of three kinds, packed into rows without separators."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vitmem.errors import InputError
from vitmem.language.data.documents import documents, pack


def tokenizer(text: str, **options: Any) -> SimpleNamespace:
    """A token a letter: its number."""
    assert options == {"add_special_tokens": False, "verbose": False}
    return SimpleNamespace(input_ids=[ord(letter) for letter in text])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("one\ntwo")
    lines = [json.dumps({"text": text, "other": 1}) for text in ("three", "vier ü")]
    (tmp_path / "b.jsonl").write_text("\n\n".join(lines) + "\n")
    (tmp_path / "sub").mkdir()
    pq.write_table(pa.table({"id": [1, 2], "text": ["five", "six"]}), tmp_path / "sub" / "c.parquet")
    (tmp_path / "sub" / "ignored.csv").write_text("no")
    return tmp_path


def test_documents_in_the_order_of_their_paths(folder: Path) -> None:
    assert list(documents(folder)) == ["one\ntwo", "three", "vier ü", "five", "six"]
    assert list(documents(folder / "b.jsonl")) == ["three", "vier ü"]


def test_one_stream_without_separators_and_without_a_ragged_tail() -> None:
    rows = pack(["abc", "", "defg", "hij"], tokenizer, 4)
    assert ["".join(map(chr, row)) for row in rows.tolist()] == ["abcd", "efgh"]
    limited = pack(iter(["abc", "defg", "hij"]), tokenizer, 3, tokens=5)
    assert ["".join(map(chr, row)) for row in limited.tolist()] == ["abc"]


def test_no_more_is_read_than_asked_for() -> None:
    def texts() -> Any:
        yield "abcd"
        raise AssertionError("the second document was asked for")

    assert pack(texts(), tokenizer, 2, tokens=4).shape == (2, 2)


def test_too_little_text() -> None:
    with pytest.raises(InputError, match="at least one row of 8 tokens, got 3 tokens"):
        pack(["abc"], tokenizer, 8)


@pytest.mark.parametrize(
    ("name", "write", "says"),
    [
        ("x.csv", lambda p: p.write_text("no"), "expected .txt, .jsonl, .parquet files"),
        ("x.txt", lambda p: p.write_bytes(b"ab\xff"), "x.txt: expected a text in UTF-8"),
        (
            "x.jsonl",
            lambda p: p.write_text('{"text": "a"}\n{"text": 3}\n'),
            "x.jsonl:2: expected a text under 'text', got",
        ),
        ("x.jsonl", lambda p: p.write_text('{"text": "a"}\nx\n'), "x.jsonl:2: expected a JSON object"),
        ("x.jsonl", lambda p: p.write_text("[]"), "x.jsonl:1: expected a JSON object"),
        ("x.parquet", lambda p: p.write_text("torn"), "expected a parquet file with a column 'text'"),
        ("x.parquet", lambda p: pq.write_table(pa.table({"t": ["a"]}), p), "column 'text'"),
        ("x.parquet", lambda p: pq.write_table(pa.table({"text": ["x", None]}), p), "expected a text in every row"),
    ],
)
def test_files_that_are_not_as_they_should_be(
    tmp_path: Path, name: str, write: Callable[[Path], Any], says: str
) -> None:
    write(tmp_path / name)
    with pytest.raises(InputError) as caught:
        list(documents(tmp_path / name))
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_without_texts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected .txt, .jsonl, .parquet files"):
        documents(tmp_path)
    with pytest.raises(InputError, match="no such file; see --text"):
        documents(tmp_path / "nowhere")
