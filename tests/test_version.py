"""The version stands in ``vitmem/__init__.py``; what is published beside it says the same."""

from __future__ import annotations

from pathlib import Path

import yaml

from vitmem import __version__

ROOT = Path(__file__).parents[1]


def test_citation_and_changelog_are_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    released = f"## {__version__} ({citation['date-released']})"
    assert citation["version"] == __version__
    headings = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert headings[:2] == ["## Unreleased", released]
