"""A run that is killed at every stage and started again gives the rows of an undisturbed run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from vitmem.rows import read_rows

HERE = Path(__file__).parent


def what_counts(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without what differs between two runs of the same thing: clocks and machine."""
    return {key: value for key, value in row.items() if key not in ("costs", "environment")}


def test_killed_and_run_again(tmp_path: Path) -> None:
    out = subprocess.run(
        [sys.executable, str(HERE / "killed.py"), str(HERE / "tiny.yaml"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={"OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert [line.split(" ", 1) for line in out.stdout.splitlines() if line.split()[0] in POINTS] == [
        [point, "killed"] for point in ("training", "statistics", "edit", "journal", "row")
    ] + [["nothing", "ended 0"], ["undisturbed", "ended 0"]], out.stdout + out.stderr
    again = read_rows(tmp_path / "results" / "tiny" / "rows.jsonl")
    whole = read_rows(tmp_path / "whole" / "results" / "tiny" / "rows.jsonl")
    assert [r["status"] for r in whole] == ["ok"] * 5
    assert [what_counts(r) for r in again] == [what_counts(r) for r in whole]
    assert not list(tmp_path.glob("store/*/*.partial"))
    assert not list(tmp_path.glob("results/tiny/*.tmp"))


POINTS = ("training", "statistics", "edit", "journal", "row", "nothing", "undisturbed")
