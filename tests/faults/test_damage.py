"""Whatever is damaged in a store or in rows is told, and the next run ends with the rows of an undamaged one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Nothing reads these: they are written anew from the checkpoint.
UNREAD = ("curves.csv", "learned.safetensors", "schema.json", "last.sha256")
# The same rows twice are the same rows.
TWICE = ("double", ".jsonl")


@pytest.mark.parametrize(
    ("choice", "seeds"),
    [("some", [0]), pytest.param("all", [1, 2, 3], marks=pytest.mark.slow)],
    ids=["one damage a kind of file", "every damage"],
)
def test_no_damage_is_silent(tmp_path: Path, choice: str, seeds: list[int]) -> None:
    for seed in seeds:
        out = subprocess.run(
            [sys.executable, str(HERE / "damage.py"), str(tmp_path / str(seed)), str(seed), choice],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)},
        )
        print(out.stdout[-3000:])
        found = re.search(r"damages (\d+): noticed (\d+), harmless (\d+), silent (\d+), traceback (\d+)", out.stdout)
        assert found, out.stdout + out.stderr
        tried, noticed, harmless, silent, tracebacks = map(int, found.groups())
        assert silent == tracebacks == 0 and noticed + harmless == tried, out.stdout
        assert tried >= (15 if choice == "some" else 80)
        assert harmless <= (len(UNREAD) if choice == "some" else 0.2 * tried)
        named = re.findall(r"harmless: (\w+) (\S+)", out.stdout)
        assert all(name.endswith(UNREAD) or (damage, name[-6:]) == TWICE for damage, name in named), named
