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

from vitmem.data.plain_texts import pack, read_texts
from vitmem.errors import InputError


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
    assert list(read_texts(folder)) == ["one\ntwo", "three", "vier ü", "five", "six"]
    assert list(read_texts(folder / "b.jsonl")) == ["three", "vier ü"]


def test_one_stream_without_separators_and_without_a_ragged_tail() -> None:
    rows = pack(["abc", "", "defg", "hij"], tokenizer, 4)
    assert ["".join(map(chr, row)) for row in rows.tolist()] == ["abcd", "efgh"]
    limited = pack(iter(["abc", "defg", "hij"]), tokenizer, 3, tokens=5)
    assert ["".join(map(chr, row)) for row in limited.tolist()] == ["abc"]


def test_no_more_is_read_than_asked_for() -> None:
    def documents() -> Any:
        yield "abcd"
        raise AssertionError("the second document was asked for")

    assert pack(documents(), tokenizer, 2, tokens=4).shape == (2, 2)


def test_too_little_text() -> None:
    with pytest.raises(InputError, match="at least one row of 8 tokens, got 3 tokens"):
        pack(["abc"], tokenizer, 8)


@pytest.mark.parametrize(
    ("name", "write", "says"),
    [
        ("x.csv", lambda p: p.write_text("no"), "expected a file or a folder of files .txt, .jsonl, .parquet"),
        ("x.txt", lambda p: p.write_bytes(b"ab\xff"), "expected text in UTF-8, got other bytes at 2"),
        ("x.jsonl", lambda p: p.write_text('{"text": "a"}\n{"txt": "b"}\n'), "x.jsonl:2: expected a JSON object"),
        ("x.jsonl", lambda p: p.write_text("[]"), "x.jsonl:1: expected a JSON object"),
        ("x.parquet", lambda p: p.write_text("torn"), "expected parquet with a column 'text'"),
        ("x.parquet", lambda p: pq.write_table(pa.table({"t": ["a"]}), p), "expected parquet with a column 'text'"),
        ("x.parquet", lambda p: pq.write_table(pa.table({"text": [1]}), p), "expected a text in every row of 'text'"),
    ],
)
def test_files_that_are_not_as_they_should_be(
    tmp_path: Path, name: str, write: Callable[[Path], Any], says: str
) -> None:
    write(tmp_path / name)
    with pytest.raises(InputError) as caught:
        list(read_texts(tmp_path / name))
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_without_texts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a file or a folder"):
        read_texts(tmp_path)
