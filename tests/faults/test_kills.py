"""A run that is killed at any of its file operations, and started again, ends as an undisturbed run does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SUITE = HERE.parent / "bench" / "tiny.yaml"


@pytest.mark.parametrize(("kills", "seed"), [(8, 0), pytest.param(120, 1, marks=pytest.mark.slow)], ids=["few", "many"])
def test_every_kill_is_survived_bit_for_bit(tmp_path: Path, kills: int, seed: int) -> None:
    out = subprocess.run(
        [sys.executable, str(HERE / "kill.py"), str(SUITE), str(tmp_path), str(kills), str(seed)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)},
    )
    print(out.stdout[-2000:])
    found = re.search(r"kills (\d+), operations of a run (\d+), runs (\d+), runs that differ (\d+)", out.stdout)
    assert found, out.stdout + out.stderr
    killed, operations, _, differ = map(int, found.groups())
    assert killed >= kills and operations > 20 and differ == 0, out.stdout
