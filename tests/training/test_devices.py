"""Two processes, or parts of a batch, train what one process trains: to the rounding of float64."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TENSORS, CURVES = 2 * 6 + 2, 6


def test_two_devices_and_parts_train_what_one_trains(tmp_path: Path) -> None:
    """Odd numbers of images, a last batch of one, tied units, the best epoch, a limit, a killed run; statistics too."""
    command = [sys.executable, str(HERE / "devices.py"), str(tmp_path)]
    out = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in out.stdout.splitlines() if line.startswith(("two", "parts"))]
    assert len(lines) == TENSORS + CURVES + 2 * 3, out.stdout + out.stderr
    assert all(float(line.rpartition(" ")[2]) < 1e-12 for line in lines), out.stdout
    assert "Warning" not in out.stderr, out.stderr
