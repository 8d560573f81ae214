"""YAML without loss: numbers as they are written, nothing twice, and one short sentence for what is hostile."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from vitmem.cli.options import key_values
from vitmem.errors import InputError
from vitmem.parsing import parse_yaml, read_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefghijk", "bcdefghijkl", strict=True)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("1E5", 1e5), (".5", 0.5), ("1_000", 1000), ("0x1f", 31), ("-3", -3), ("0", 0),
        ("10:30", "10:30"), ("2026-01-02", "2026-01-02"), ("0-10", "0-10"), ("'017'", "017"), ("'1'", "1"),
        ("yes", True), ("off", False), ("'yes'", "yes"), ("~", None), ("1e", "1e"), ("e3", "e3"),
        ("{x: &a {b: 1}, y: {<<: *a, c: 2}}", {"x": {"b": 1}, "y": {"b": 1, "c": 2}}),
    ],
)  # fmt: skip
def test_a_value_is_what_it_is_written_as(text: str, value: Any) -> None:
    found = parse_yaml(text, "x")
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: 2\na: 3", "line 3, column 1: the key 'a' comes twice, on line 1 too"),
        ("- {b: 1, b: 1}", "the key 'b' comes twice"),
        ("<<: {a: 1}\n<<: {b: 1}", "the key '<<' comes twice"),
        ("{rate: 0,1}", "expected a name before ':', got '1'; a number has a point, not a comma (0.1)"),
        ("1: x", "expected a name before ':', got '1'; quote it"),
        ("null: x", "got 'null'"),
        ("on: x", "got 'on'"),
        ("? [a]\n: b", "got a list"),
        ("a:", "the key 'a' has no value; write null"),
        ("{a, b: 1}", "the key 'a' has no value"),
        ("-\n- 1", "a list item without a value"),
        ("017", "'017' has a leading zero"),
        ("a: 009", "'009' has a leading zero"),
        (".nan", "'.nan' is not a finite number"),
        ("-.inf", "not a finite number"),
        ("1e999", "'1e999' is not a finite number"),
        ("9" * 5000, "is a number of more than 64 bits"),
        ("9223372036854775808", "is a number of more than 64 bits"),
        ("!!python/object/apply:os.system [ls]", "the tag 'tag:yaml.org,2002:python/object/apply:os.system' is not"),
        ("!!set {a: null}", "is not read here"),
        ("a: 1\n---\na: 2", "expected a single document"),
        ("a:\n\t- 1", "cannot start any token"),
        ("&a [*a]", "an alias that contains itself"),
        ("*nothing", "undefined alias 'nothing'"),
        (BOMB, "more than 200,000 values"),
        ("[" * 60 + "]" * 60, "more than 40 levels deep"),
        ("[" * 100_000, "more than 40 levels deep"),
        ("- " * 100_000, "more than 40 levels deep"),
        ('"\\ud800"', "half of a character"),
        ('"\\UFFFFFFFF"', "not valid YAML"),
        ("a: \x01", "special characters are not allowed"),
        ("a: '" + "x" * 100_000, "not valid YAML"),
        ("a: *" + "q" * 100_000, "undefined alias"),
    ],
)
def test_what_is_lost_or_bent_elsewhere_is_refused_in_one_short_sentence(text: str, says: str) -> None:
    started = time.perf_counter()
    with pytest.raises(InputError) as caught:
        parse_yaml(text, "suite.yaml")
    assert time.perf_counter() - started < 2
    assert says in str(caught.value) and str(caught.value).startswith("suite.yaml")
    assert "\n" not in str(caught.value) and len(str(caught.value)) <= 400


def test_files_that_are_no_text_end_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(100 * 2**20)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    started = time.perf_counter()
    for name, says in {
        "pipe": "a pipe or a device", "/dev/zero": "a pipe or a device", "large": "of at most 0.25 MiB, got 100",
        "bytes": "in UTF-8", "": "a folder", "x" * 300: "file name too long", "nowhere": "no such file; try y",
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=says) as caught:
            read_yaml(tmp_path / name, "try y")
        assert len(str(caught.value)) <= 300
    assert time.perf_counter() - started < 1


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(tmp_path / "x.yaml") == {"a": 1}


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["rate=0.1", "rate=0.2"], "--set: 'rate' comes twice"),
        (["rate"], "expected key=value, got 'rate'"),
        (["=3"], "expected key=value, got '=3'"),
        (["rate="], "got nothing"),
        (["rate=[1"], "expected a value such as 0.1"),
        (["rate=017"], "leading zero"),
    ],
)
def test_parameters_on_the_command_line(texts: list[str], says: str) -> None:
    with pytest.raises(InputError) as caught:
        key_values(texts, "--set")
    assert says in str(caught.value) and str(caught.value).startswith("--set")
    assert key_values(["rate=1e-3", "type=2"], "--set") == {"rate": 0.001, "type": 2}
