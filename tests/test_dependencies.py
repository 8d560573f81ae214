"""What pyproject.toml says of dependencies is what ``.ci/lowest`` tests."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("one", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["lm"]])
def test_every_dependency_has_one_lowest_version(one: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]+>=\d+(\.\d+)*", one), f"'{one}': .ci/lowest pins what stands behind '>='"
