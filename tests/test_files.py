"""What may be read, what a folder holds, and writes that are whole or absent."""

from __future__ import annotations

import os
import stat
import unicodedata
from pathlib import Path

import pytest

from vitmem.errors import InputError
from vitmem.files import check_readable, read_text, same_name, subfolders, walk, write_text, write_whole
from vitmem.parsing import parse_json


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    return path


def test_a_walk_follows_links_and_counts_what_it_leaves_out(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    wanted = [touch(root / "a" / "1.PNG"), touch(root / "b.png")]
    for name in (".ipynb_checkpoints/1.png", "a/._1.png", "a/x.avif", "a/y.avif", "README"):
        touch(root / name)
    touch(elsewhere / "2.png")
    (root / "linked").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(root)
    os.mkfifo(root / "pipe.png")
    found = walk(root, {".png"})
    assert list(found.files) == [*wanted, root / "linked" / "2.png"]
    assert found.account() == "2 hidden, 1 linked twice, 1 no regular file, 2 of type .avif, 1 without a type"


def test_folders_are_sorted_by_composed_names_and_hidden_ones_left_out(tmp_path: Path) -> None:
    for name in (unicodedata.normalize("NFD", "é"), "a", ".git", "__MACOSX"):
        (tmp_path / name).mkdir()
    assert [same_name(folder.name) for folder in subfolders(tmp_path)] == ["a", "é"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: p / "none", "no such file; look elsewhere"),
        (lambda p: p, "expected a list, got a folder"),
        (lambda p: Path("/dev/zero"), "got a pipe or a device"),
        (lambda p: p / ("x" * 300), "file name too long"),
        (lambda p: touch(p / "file") / "inside", "not a directory"),
        (lambda p: p / "a\0b", "null byte"),
    ],
)
def test_what_is_no_file_is_one_sentence(tmp_path: Path, make, words: str) -> None:
    with pytest.raises(InputError) as caught:
        check_readable(make(tmp_path), "a list", "look elsewhere")
    assert words in str(caught.value) and len(str(caught.value)) < 300


def test_text_is_utf8_of_a_bounded_size(tmp_path: Path) -> None:
    (tmp_path / "bom").write_bytes(b"\xef\xbb\xbfname: x")
    assert read_text(tmp_path / "bom", "a text") == "name: x"
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match="UTF-8, got other bytes at 3"):
        read_text(tmp_path / "latin", "a text")
    with pytest.raises(InputError, match="at most"):
        read_text(tmp_path / "bom", "a text", limit=4)


def test_a_write_is_whole_or_absent_and_has_the_rights_of_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    old = os.umask(0o027)
    try:
        write_text(path, "first")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        write_whole(path, fail)
    assert path.read_text() == "first" and os.listdir(path.parent) == ["file.txt"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "a": 2}', "'a' comes twice"),
        ('[{"b": {"c": 1, "c": 1}}]', "'c' comes twice"),
        ('{"a": 1e999}', "1e999 is not a finite number"),
        ('{"a": NaN}', "NaN is not a finite number"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "Exceeds the limit"),
        ('{"a": ', "got invalid JSON"),
    ],
)
def test_json_that_would_lose_something_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_json(text, "file:3", "delete the line")
    message = str(caught.value)
    assert words in message and message.startswith("file:3: ") and message.endswith("; delete the line")
