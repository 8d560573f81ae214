"""What pyproject.toml says of dependencies is what ``.ci/lowest`` tests."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("one", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["lm"]])
def test_every_dependency_has_one_lowest_version(one: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]+>=\d+(\.\d+)*", one), f"'{one}': .ci/lowest pins what stands behind '>='"


def test_the_lowest_versions_are_tested_in_a_job_of_their_own() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())["jobs"]
    runs = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()}
    assert runs["lowest"] == [".ci/lowest"]
    lowest = PROJECT["requires-python"].removeprefix(">=")
    assert any(step.get("with") == {"python-version": lowest} for step in jobs["lowest"]["steps"])
