"""Rows are merged by id, sorted, replaced whole, and never hold NaN."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from vitmem.errors import InputError, VitmemError
from vitmem.rows import ROW_SCHEMA, read_rows, write_rows


def row(id: str, **more: Any) -> dict[str, Any]:
    return {"schema": ROW_SCHEMA, "id": id, "status": "ok", **more}


def test_merge_sort_and_keys(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.jsonl"
    write_rows(path, [row("b", z=1), row("a", z=1)])
    write_rows(path, [row("c"), row("a", z=2)])
    assert path.read_text() == (
        '{"id":"a","schema":1,"status":"ok","z":2}\n'
        '{"id":"b","schema":1,"status":"ok","z":1}\n'
        '{"id":"c","schema":1,"status":"ok"}\n'
    )
    assert [r["id"] for r in read_rows(path)] == ["a", "b", "c"]
    assert os.listdir(path.parent) == ["rows.jsonl"]


def test_order_of_writing_does_not_matter(tmp_path: Path) -> None:
    rows = [row("a", n=0.1), row("b", n=1e-300), row("c", n="é\u2028")]
    for r in rows:
        write_rows(tmp_path / "one", [r])
    write_rows(tmp_path / "two", reversed(rows))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert read_rows(tmp_path / "one") == rows
    (tmp_path / "empty").touch()
    assert read_rows(tmp_path / "empty") == []


def test_nan_is_refused_and_the_file_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [row("a")])
    before = path.read_bytes()
    with pytest.raises(VitmemError, match=r"row b: metrics\.x\.1 is not a finite number"):
        write_rows(path, [row("b", metrics={"ok": 1.0, "x": [1.0, float("nan")]})])
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id":"b","sch', r"rows\.jsonl:2: not a whole row .*delete the line"),
        ("", r"rows\.jsonl:2: not a whole row"),
        ("[1]", r"rows\.jsonl:2: expected a JSON object, got list"),
        (json.dumps({**row("b"), "schema": 0}), r":2: a row of schema 0, this version reads schema 1"),
        (json.dumps({"id": "b", "status": "ok"}), r"a row of schema None"),
        (json.dumps({"schema": 1, "status": "ok"}), r"expected a text for 'id', got None"),
        ('{"id":"b","schema":1,"status":"ok","x":NaN}', r"rows\.jsonl:2: NaN in a row"),
        (json.dumps(row("a")), r"rows\.jsonl:2: id a is on line 1 too"),
    ],
)
def test_bad_lines(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row("a")) + "\n" + line + "\n")
    before = path.read_bytes()
    with pytest.raises(InputError, match=message):
        read_rows(path)
    with pytest.raises(InputError, match=message):
        write_rows(path, [row("c")])
    assert path.read_bytes() == before


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run the suite first"):
        read_rows(tmp_path / "rows.jsonl")


def test_failed_rename_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [row("a")])

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vitmem.rows.os.replace", full)
    with pytest.raises(OSError, match="No space"):
        write_rows(path, [row("b")])
    assert [r["id"] for r in read_rows(path)] == ["a"]
    assert os.listdir(tmp_path) == ["rows.jsonl"]
