"""The reference that is made from the code: every key of a suite and of every entry has a meaning."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vitmem.bench import cells
from vitmem.bench.suite import Suite
from vitmem.cli.main import VERBS
from vitmem.entries import Entry
from vitmem.recipe import Recipe
from vitmem.registry import REGISTRIES
from vitmem.row_schema import Row
from vitmem.specs import Spec, Statistics

EXTENSIONS = Path(__file__).parents[2] / "docs" / "_ext"
SHARED = (cells.DataShared, cells.NoiseShared, cells.ModelShared, cells.EditShared, cells.SourceShared)


@pytest.fixture(scope="module")
def made() -> Iterator[Any]:
    """The module that writes the pages."""
    sys.path.insert(0, str(EXTENSIONS))
    yield importlib.import_module("generated")
    sys.path.remove(str(EXTENSIONS))


@pytest.fixture(scope="module")
def meanings(made: Any) -> Any:
    return sys.modules["meanings"]


def test_every_key_of_a_suite_has_a_meaning(meanings: Any) -> None:
    specs: list[type[Spec]] = [Suite, Recipe, *meanings.nested(Recipe), Statistics, *SHARED]
    missing = [f"{spec.__name__}.{key.name}" for spec in specs for key in meanings.keys_of(spec) if not key.meaning]
    assert not missing, (
        f"say what they are in the docstring, as ``key`` is ..., or in Field(description=...): {missing}"
    )


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_parameter_of_an_entry_has_a_meaning(meanings: Any, kind: str) -> None:
    entries: list[type[Entry]] = [entry for entry in REGISTRIES[kind].entries() if entry.built_in()]
    missing = [f"{entry.name}.{key.name}" for entry in entries for key in meanings.keys_of(entry) if not key.meaning]
    assert not missing, (
        f"say what they are in the docstring, as ``key`` is ..., or in Field(description=...): {missing}"
    )


def test_types_bounds_and_defaults_are_those_of_the_code(meanings: Any) -> None:
    keys = {key.name: key for key in meanings.keys_of(Recipe)}
    assert (keys["lr"].kind, keys["lr"].default) == ("number, > 0", "`0.001`")
    assert keys["label_smoothing"].kind == "number, ≥ 0, < 1"
    assert keys["epochs"].default == "left out"
    assert keys["crop"].meaning == "``crop`` is the padding in pixels of a random crop"
    assert {key.name: key.default for key in meanings.keys_of(Suite)}["edits"] is None
    (rate, *_) = meanings.keys_of(REGISTRIES["noises"].get("symmetric"))
    assert (rate.name, rate.kind, rate.default) == ("rate", "number, ≥ 0, ≤ 1", None)


def test_pages_name_all_there_is(made: Any) -> None:
    pages = {name: text() for name, text in made.pages().items() if "/" not in name}
    for kind, registry in REGISTRIES.items():
        for entry in filter(lambda entry: entry.built_in(), registry.entries()):  # other tests have plug-ins
            assert f"## {entry.name}" in pages[f"{kind}.md"], entry.name
    assert all(f"## vitmem {verb}" in pages["command_line.md"] for verb in VERBS)
    assert "`--data-dir`" in pages["command_line.md"]
    assert "Example" not in pages["command_line.md"] and "\n$ \n" not in pages["command_line.md"]
    assert all(f"| `{field}` |" in pages["row.md"] for field in Row.__annotations__)


def test_a_page_that_has_not_changed_keeps_its_time(made: Any, tmp_path: Path) -> None:
    made.write(tmp_path)
    (tmp_path / "old.md").write_text("of an entry that is gone")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.md")}
    made.write(tmp_path)
    assert not (tmp_path / "old.md").exists()
    assert all(path.stat().st_mtime_ns == time for path, time in before.items() if path.name != "old.md")
