"""Damaged data files: no traceback, and other values only from formats that have no checksum."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vitmem.data.decoder import Decoder
from vitmem.data.human_labels import read_human
from vitmem.data.parquet import read_split
from vitmem.data.unlabelled import unlabelled
from vitmem.data.view_files import read_duplicates, read_label_errors, read_votes
from vitmem.errors import InputError
from vitmem.language.data.documents import documents
from vitmem.language.data.json_lines import json_lines
from vitmem.language.data.passages import read_corpus
from vitmem.language.data.windows.read import read_windows
from vitmem.noise.matrix import read_matrix


def load(name: str) -> ModuleType:
    """Return the script ``name`` beside this file as a module."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


files = load("data_files")
READERS: dict[str, Callable[[Path], Any]] = {
    "documents": lambda p: list(documents(p)),
    "human.npz": lambda p: read_human(p, files.LABELS),
    "human.pt": lambda p: read_human(p.with_suffix(".pt"), files.LABELS),
    "json_lines": lambda p: list(json_lines(p)),
    "parquet": lambda p: read_split([p], Decoder("parquet", p.parent)),
    "books": lambda p: read_corpus(p, "passages"),
    "unlabelled": lambda p: unlabelled(p, 8, None, 0),
    "twins": read_duplicates,
    "errors": read_label_errors,
    "votes": read_votes,
    "windows": read_windows,
    "matrix": read_matrix,
    "probabilities": files.probabilities,
}


@pytest.mark.parametrize("count", [40, pytest.param(400, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", files.KINDS, ids=lambda kind: kind.name)
def test_damage_is_a_sentence_or_does_no_harm(kind: Any, count: int, tmp_path: Path) -> None:
    found = list(files.tried(kind, tmp_path / "files", count))
    told = Counter(what for what, _, _ in found)
    print(kind.name, dict(told))
    assert len(found) == count
    assert not told["traceback"], [one for one in found if one[0] == "traceback"][:3]
    # a cache is made anew, so that damage of it is never seen in the values
    assert told["same"] == count if kind.name == "cache.safetensors" else told["sentence"]
    if kind.guarded:
        assert not told["other"]


@pytest.mark.parametrize("what", ["pipe", "device", "folder", "long", "missing", "null"])
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_file_is_one_sentence_at_once(reader: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    if what == "pipe":
        os.mkfifo(path)
        os.mkfifo(path.with_suffix(".pt"))
    elif what == "folder":
        path.mkdir()
        path.with_suffix(".pt").mkdir()
    elif what == "device":
        path = Path("/dev/zero")
    elif what == "long":
        path = tmp_path / ("x" * 300)
    elif what == "null":
        path = tmp_path / "a\0b"
    with pytest.raises(InputError) as caught:
        READERS[reader](path)
    assert 10 < len(str(caught.value)) <= 400 and "\n" not in str(caught.value)
