"""Sums over ranks are those of one long pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_two_ranks_have_the_statistics_of_one(tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "ranks.py"), str(tmp_path)]
    out = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = out.stdout.splitlines()
    assert len(lines) == 2 * 2 * 7, out.stdout + out.stderr
    assert all(float(line.split()[-1]) < 1e-12 for line in lines), out.stdout
