"""A small suite of the matrix tests, and a fixture that writes it with changes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

SMALL = {
    "name": "small",
    "seeds": [0, 1],
    "data": {"name": "digits"},
    "noise": [{"name": "symmetric", "rate": 0.1}, {"name": "pair", "rate": 0.2}],
    "model": {"name": "vit", "width": [32, 64]},
    "recipe": {"epochs": 2},
    "edits": [
        {"method": "none"},
        {"method": "kfac", "blocks": ["last", [0, 1]], "fraction": [0.1, 0.2, 0.3]},
    ],
}


@pytest.fixture
def small() -> dict[str, Any]:
    """Return the small suite as a mapping that a test may change."""
    return copy.deepcopy(SMALL)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes the small suite, with the keys it is given, and returns the file."""

    def write_suite(folder: Path = tmp_path, **changes: Any) -> Path:
        path = folder / "small.yaml"
        path.write_text(yaml.safe_dump({**SMALL, **changes}))
        return path

    return write_suite
