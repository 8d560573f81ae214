"""Suites and command lines with something wrong end as they should or as one short sentence, at once."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


def load(name: str) -> ModuleType:
    """Return the script ``name`` beside this file as a module."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


suites = load("mutate_suites")
commands = load("mutate_commands")


@pytest.mark.parametrize(
    ("count", "seed"), [(2000, 0), pytest.param(20_000, 1, marks=pytest.mark.slow)], ids=["2,000", "20,000"]
)
def test_every_suite_ends_as_a_plan_or_as_one_short_sentence(tmp_path: Path, count: int, seed: int) -> None:
    counts, bad = suites.try_all(tmp_path, count, seed)
    print(dict(counts))
    assert not bad
    assert sum(counts.values()) == count
    assert counts["plan"] > count / 20 and counts["sentence"] > count / 2  # it changes enough, and not too much


def test_the_mutator_would_see_what_it_looks_for() -> None:
    def lines() -> None:
        raise suites.InputError("x")

    def leave() -> None:
        raise SystemExit(0)

    assert suites.outcome(lines) == ("sentence", "x")
    assert suites.outcome(leave)[0] == "other"
    assert suites.outcome(lambda: {}["a"]) == ("other", "KeyError: 'a'")
    assert suites.outcome(lambda: None) == ("plan", "")
    assert len({text for text, _ in suites.mutants(100, 0)}) > 90
    assert list(suites.mutants(20, 3)) == list(suites.mutants(20, 3))


@pytest.mark.parametrize(
    ("count", "seed"), [(200, 0), pytest.param(3000, 1, marks=pytest.mark.slow)], ids=["200", "3,000"]
)
def test_every_command_line_ends_with_a_code_and_one_sentence(tmp_path: Path, count: int, seed: int) -> None:
    counts, bad = commands.try_all(tmp_path, count, seed)
    print(dict(counts))
    assert not bad
    assert counts["0"] > 5 and counts["2"] > count / 2
