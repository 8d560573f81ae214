"""Rows are merged by id, sorted, replaced whole, checked as they are read, and never hold NaN."""

from __future__ import annotations

import copy
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from vitmem.errors import InputError, VitmemError
from vitmem.row_schema import row_schema
from vitmem.rows import ROW_SCHEMA, append_row, appended_rows, read_rows, write_rows

RESULTS = Path(__file__).parent.parent / "results"


def row(id: str, status: str = "ok", seed: int | None = None, **more: Any) -> dict[str, Any]:
    """Return a row as small as readers can read; each id has a config of its own unless a seed is given."""
    config: dict[str, Any] = {key: {"name": "x"} for key in ("data", "noise", "model")}
    config |= {"recipe": {}, "edit": {"method": "none"}, "seed": sum(map(ord, id)) if seed is None else seed}
    out = {"schema": ROW_SCHEMA, "id": id, "status": status, "suite": "s", "ids": {"training": "t"}, "config": config}
    if status == "failed":
        return {**out, "reason": "it failed", **more}
    sections: dict[str, Any] = {key: {} for key in ("metrics", "selection", "costs", "counts", "environment")}
    return {**out, **sections, "edit": {"layers": {}}, **more}


def plain(row: dict[str, Any]) -> str:
    """Return a line as rows were written before they had digests."""
    return json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def ids(path: Path) -> list[str]:
    return [r["id"] for r in read_rows(path)]


def test_merge_sort_and_keys(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.jsonl"
    write_rows(path, [row("b", z=1), row("a", z=1)])
    write_rows(path, [row("c"), row("a", z=2)])
    lines = path.read_text().splitlines()
    assert [re.sub(r',"digest":"[0-9a-f]{16}"}$', "}", line) for line in lines] == [
        plain(row("a", z=2)), plain(row("b", z=1)), plain(row("c"))
    ]  # fmt: skip
    assert all('"digest"' in line for line in lines)
    assert read_rows(path) == [row("a", z=2), row("b", z=1), row("c")]
    assert os.listdir(path.parent) == ["rows.jsonl"]


def test_order_of_writing_does_not_matter(tmp_path: Path) -> None:
    rows = [row("a", n=0.1), row("b", n=1e-300), row("c", n="é\u2028")]
    for r in rows:
        write_rows(tmp_path / "one", [r])
    write_rows(tmp_path / "two", reversed(rows))
    for r in (rows[2], rows[0], rows[1]):
        append_row(tmp_path / "appended", r)
    write_rows(tmp_path / "three", appended_rows(tmp_path / "appended"))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes() == (tmp_path / "three").read_bytes()
    assert read_rows(tmp_path / "one") == rows
    (tmp_path / "empty").touch()
    assert read_rows(tmp_path / "empty") == []


def test_lines_of_other_rows_stay_as_they_are(tmp_path: Path) -> None:
    """A file that was written before rows had digests is not rewritten by one more row."""
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{plain(row(id))}\n" for id in "ac"))
    write_rows(path, [row("b")])
    first, second, third = path.read_text().splitlines()
    assert (first, third) == (plain(row("a")), plain(row("c"))) and second.startswith(plain(row("b"))[:-1])


def test_nan_is_refused_and_the_file_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [row("a")])
    before = path.read_bytes()
    for write in (lambda r: write_rows(path, [r]), lambda r: append_row(path, r)):
        with pytest.raises(VitmemError, match=r"row b: metrics\.x\.1 is not a finite number"):
            write(row("b", metrics={"ok": 1.0, "x": [1.0, float("nan")]}))
        with pytest.raises(VitmemError, match=r"row b: expected a share in \[0, 1\] for 'metrics\.memorized', got 7.5"):
            write(row("b", metrics={"memorized": 7.5}))
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["rows.jsonl"]


LACKING = {key: {**row("b"), key: None} for key in row("b") if key not in ("schema", "id")}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id":"b","sch', r"rows\.jsonl:2: expected JSON, got invalid JSON .*delete the line"),
        ("", r"rows\.jsonl:2: expected JSON, got invalid JSON"),
        ("[1]", r"rows\.jsonl:2: expected a JSON object, got list"),
        (plain(row("b")) + "," + plain(row("c")), r"rows\.jsonl:2: expected JSON, got invalid JSON"),
        (plain({**row("b"), "schema": 0}), r":2: a row of schema 0, this version reads schema 1"),
        (plain({"id": "b", "suite": "s"}), r"a row of schema nothing"),
        (plain({**row("b"), "id": None}), r"expected a text for 'id', got nothing"),
        (plain(row("a")), r"rows\.jsonl:2: id a is on line 1 too"),
        # numbers that are none, wherever they are
        (plain(row("b", x=1))[:-2] + "NaN}", r"rows\.jsonl:2: NaN is not a finite number"),
        (plain(row("b", x=1))[:-2] + "1e999}", r"rows\.jsonl:2: 1e999 is not a finite number"),
        (plain(row("b", x=[[1]]))[:-4] + "-1E400]]}", r"rows\.jsonl:2: -1E400 is not a finite number"),
        (plain(row("b", x=1))[:-2] + "9" * 400 + ".0}", r"rows\.jsonl:2: 9+ is not a finite number"),
        # what is there twice
        (plain(row("b"))[:-1] + ',"id":"c"}', r"rows\.jsonl:2: the key 'id' comes twice"),
        (plain(row("b"))[:-1] + ',"x":{"y":1,"y":1}}', r"rows\.jsonl:2: the key 'y' comes twice"),
        (plain(row("b"))[:-1] + ',"x":[{"y":1,"y":2}]}', r"rows\.jsonl:2: the key 'y' comes twice"),
        # shares, counts and texts
        (plain(row("b", metrics={"memorized": 7.5})), r"a share in \[0, 1\] for 'metrics.memorized', got 7.5"),
        (plain(row("b", selection={"validation": -0.1})), r"a share in \[0, 1\] for 'selection.validation', got -0.1"),
        (plain(row("b", metrics={"validation_class_3": 1.1})), r"a share in \[0, 1\] for 'metrics.validation_class_3'"),
        (plain(row("b", metrics={"nll": "1"})), r"a number for 'metrics.nll', got '1'"),
        (plain(row("b", metrics={"nll": True})), r"a number for 'metrics.nll', got True"),
        (plain(row("b", counts={"train": -1})), r"not negative for 'counts.train', got -1"),
        (plain(row("b", costs={"edit_seconds": None})), r"not negative for 'costs.edit_seconds', got nothing"),
        (plain(row("b", outcomes={"memorized": 1})), r"a text for 'outcomes.memorized', got 1"),
        (plain(row("b", edit={"layers": {"a": 1}})), r"a mapping for 'edit.layers.a', got 1"),
        (plain({**row("b"), "status": "done"}), r"'ok' or 'failed' for 'status', got 'done'"),
        (plain({**row("b", "failed"), "reason": 1}), r"a text for 'reason', got 1"),
        *((plain(some), rf"rows\.jsonl:2: expected .* for '{key}', got nothing") for key, some in LACKING.items()),
    ],
)  # fmt: skip
def test_bad_lines(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(plain(row("a")) + "\n" + line + "\n")
    before = path.read_bytes()
    with pytest.raises(InputError, match=message):
        read_rows(path)
    with pytest.raises(InputError, match=message):
        write_rows(path, [row("c")])
    assert path.read_bytes() == before


@pytest.mark.parametrize("part", ["data", "noise", "model", "recipe", "seed", "edit"])
def test_a_config_without_a_part_of_it(tmp_path: Path, part: str) -> None:
    bad = copy.deepcopy(row("a"))
    del bad["config"][part]
    (tmp_path / "rows.jsonl").write_text(plain(bad))
    with pytest.raises(InputError, match=f"expected .* for 'config.{part}', got nothing"):
        read_rows(tmp_path / "rows.jsonl")


def test_two_rows_on_a_line_that_end_on_others_are_no_rows(tmp_path: Path) -> None:
    """As one list the three lines are three values."""
    path = tmp_path / "rows.jsonl"
    one, other = plain(row("a")), plain(row("b", x=[{}, {}]))
    cut = other.index("{},{}") + 2
    path.write_text(f"{one},{one}\n{other[:cut]}\n{other[cut + 1 :]}\n")
    with pytest.raises(InputError, match=r":1: expected JSON, got invalid JSON"):
        read_rows(path)


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [row("a", metrics={"validation": 0.5, "nll": 1.25})])
    before = path.read_bytes()
    silent = []
    for bit in range(8 * (len(before) - 1)):
        data = bytearray(before)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        try:
            read_rows(path)
            silent.append((bit, data[bit // 8 - 8 : bit // 8 + 8]))
        except InputError:
            pass
    assert not silent


def test_a_text_that_looks_like_a_key_is_read(tmp_path: Path) -> None:
    found = row("a", note='":":"":')
    write_rows(tmp_path / "rows.jsonl", [found])
    assert read_rows(tmp_path / "rows.jsonl") == [found]


def test_who_asks_is_told_of_rows_without_a_digest_alone(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(plain(row("a")) + "\n")
    write_rows(path, [row("b")])
    asked: list[str] = []
    assert len(read_rows(path, lambda r: asked.append(r["id"]) or True)) == 2 and asked == ["a"]
    with pytest.raises(InputError, match=r":1: the config of this row is not that of its id a; delete the line"):
        read_rows(path, lambda r: False)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run the suite first"):
        read_rows(tmp_path / "rows.jsonl")


def test_what_is_no_file_of_text(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="expected rows, got a folder"):
        read_rows(tmp_path / "folder")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe{}\n")
    with pytest.raises(InputError, match="bytes:1: not text in UTF-8"):
        read_rows(tmp_path / "bytes")


def test_a_killed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [row("a")])

    def killed(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(OSError):
        write_rows(path, [row("b")])
    assert ids(path) == ["a"] and os.listdir(tmp_path) == ["rows.jsonl"]


class TestAppended:
    """Rows that a run appends, one line each, on the disk as they come."""

    def test_they_are_read_in_their_order(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "rows.jsonl"
        assert appended_rows(path) == []
        for new in (row("b"), row("a", z=1), row("a", z=2)):
            append_row(path, new)
        assert appended_rows(path) == [row("b"), row("a", z=1), row("a", z=2)]

    def test_half_a_row_at_the_end_is_left_out_and_then_cut_off(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        append_row(path, row("a"))
        whole = path.read_bytes()
        append_row(path, row("b"))
        data = path.read_bytes()
        for cut in [*range(len(whole) + 1, len(data), 7), len(data) - 1]:
            path.write_bytes(data[:cut])
            assert appended_rows(path) == [row("a")]
            append_row(path, row("c"))
            assert appended_rows(path) == [row("a"), row("c")]
        path.write_bytes(data[: len(whole) - 1])
        append_row(path, row("c"))
        assert appended_rows(path) == [row("c")]

    @pytest.mark.parametrize("bad", [b"[]\n", b"\n", b'{"id":\n', b"\xff\n"])
    def test_a_damaged_line_is_one_sentence(self, tmp_path: Path, bad: bytes) -> None:
        path = tmp_path / "rows.jsonl"
        append_row(path, row("a"))
        path.write_bytes(bad + path.read_bytes())
        with pytest.raises(InputError, match=r"rows\.jsonl:1: .*delete the line"):
            appended_rows(path)

    def test_what_does_not_fit_is_taken_back(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "rows.jsonl"
        append_row(path, row("a"))

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(OSError):
                append_row(path, row("b"))
        assert appended_rows(path) == [row("a")]
        append_row(path, row("c"))
        assert appended_rows(path) == [row("a"), row("c")]

    def test_appending_does_not_read_what_is_there(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        write_rows(path, [row(f"{n:05}", seed=n, pad="x" * 2000) for n in range(3000)])
        started = time.process_time()
        for n in range(20):
            append_row(path, row(f"new{n}"))
        assert (time.process_time() - started) / 20 < 0.005


class TestVersions:
    """Rows of the same config under another id: the version of what it names was bumped."""

    def test_a_newer_row_replaces_it(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        write_rows(path, [row("old", seed=1), row("older", seed=2)])
        write_rows(path, [row("new", seed=1)])
        assert ids(path) == ["new", "older"]

    def test_a_newer_row_that_failed_replaces_none_that_is_finished(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        write_rows(path, [row("old", seed=1)])
        for _ in range(2):
            write_rows(path, [row("new", "failed", seed=1)])
            assert ids(path) == ["new", "old"]
        write_rows(path, [row("newer", "failed", seed=1)])
        assert ids(path) == ["newer", "old"]  # one that failed makes way
        write_rows(path, [row("newer", seed=1)])
        assert ids(path) == ["newer"]

    def test_measuring_again_that_failed_replaces_no_row_that_is_finished(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        write_rows(path, [row("a")])
        write_rows(path, [row("a", "failed")])
        assert read_rows(path) == [row("a")]

    def test_a_row_that_is_made_replaces_one_that_failed(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        write_rows(path, [row("a", "failed")])
        write_rows(path, [row("a")])
        assert read_rows(path) == [row("a")]


def test_rows_that_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [row("a"), row("b")])
    write_rows(path, [], drop={"a", "z"})
    assert ids(path) == ["b"]


def test_all_committed_rows_are_read_within_the_budget() -> None:
    started, total = time.process_time(), 0
    for path in sorted(RESULTS.glob("*/rows.jsonl")):
        rows = read_rows(path)
        assert [r["id"] for r in rows] == sorted(r["id"] for r in rows)
        total += len(rows)
    assert total >= 7736 and time.process_time() - started < 6


def test_the_published_schema_says_what_is_read(tmp_path: Path) -> None:
    schema = row_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for path in sorted((Path(__file__).parents[1] / "results").glob("*/rows.jsonl")):
        first, *_ = path.read_text().splitlines()
        validator.validate(json.loads(first))
    good = [row("a"), row("b", "failed"), row("c", metrics={"nll": 3.0, "memorized": 0.5})]
    for one in good:
        validator.validate(one)
    for bad in (
        {**row("b"), "status": "done"}, {**row("b"), "id": 1}, {k: v for k, v in row("b").items() if k != "costs"},
        {**row("b"), "config": {**row("b")["config"], "seed": "0"}}, row("b", metrics={"memorized": 7.5}),
        row("b", metrics={"nll": "1"}), row("b", metrics={"validation_class_3": 1.1}), row("b", counts={"train": -1}),
        row("b", edit={"layers": {"a": 1}}), {k: v for k, v in row("b", "failed").items() if k != "reason"},
    ):  # fmt: skip
        assert not validator.is_valid(bad)
        with pytest.raises(VitmemError):
            append_row(tmp_path / "rows.jsonl", bad)
