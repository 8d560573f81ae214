"""The scripts of the gallery run; ``make docs`` runs all of them, the longer ones are slow tests."""

from __future__ import annotations

import runpy
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from vitmem.registry import EDITS

GALLERY = Path(__file__).parents[2] / "docs" / "gallery"
TRAINS = ("engine", "images", "own_edit")
SCRIPTS = [
    pytest.param(path, id=path.name, marks=[pytest.mark.slow] if path.stem.endswith(TRAINS) else [])
    for path in sorted(GALLERY.glob("plot_*.py"))
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_runs_and_draws(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GALLERY)  # as Sphinx-Gallery runs it
    monkeypatch.setattr(plt, "show", lambda: None)
    plt.switch_backend("agg")
    plt.close("all")
    try:
        runpy.run_path(str(script))
        assert plt.get_fignums()
        for number in plt.get_fignums():
            assert any(axes.has_data() for axes in plt.figure(number).axes)
    finally:
        plt.close("all")
        EDITS.discard("soft_svd")
