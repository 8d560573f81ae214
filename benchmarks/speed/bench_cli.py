"""Start-up, planning and tables: asserts the limits of the command line.

``vitmem --help`` under 0.5 s of its own imports, ``vitmem plan`` on 5,000 cells under 3 s, ``vitmem tables --check``
over the committed rows under 6 s and 500 MB, without torch. Each figure is the median of five processes: CPU seconds,
which depend little on other programs, and peak memory. ``--quick``: one process each and three times the seconds, for a
slow machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

MATRIX = """
name: matrix
seeds: [0, 1, 2, 3, 4]
data: {name: cifar10}
noise: {name: symmetric, rate: [0.05, 0.1, 0.2, 0.4]}
model: {name: vit, width: [64, 128, 192, 384, 768]}
recipe: {epochs: 300}
edits:
  - {method: none}
  - method: kfac
    blocks: [last, all, first]
    fraction: [.001, .002, .003, .004, .005, .006, .007, .008, .009, .01, .02, .03]
  - {method: svd, blocks: last, rank_fraction: [.1, .2, .3, .4, .5, .6, .7, .8, .9, .95, .96, .97, .98]}
"""


@dataclass(frozen=True)
class Spent:
    """The cost of a process: CPU seconds and peak memory in MB."""

    seconds: float
    memory: float


def spent(*command: str, repeats: int) -> Spent:
    """Return the medians over ``repeats`` processes of ``command``; raises SystemExit if one fails."""
    found = [_once(command) for _ in range(repeats)]
    return Spent(statistics.median(f.seconds for f in found), statistics.median(f.memory for f in found))


def _once(command: tuple[str, ...]) -> Spent:
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            out.seek(0)
            sys.exit(f"{' '.join(command)} ended with {process.returncode}: {out.read().decode()}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes of ru_maxrss
    return Spent(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e6)


def claim(what: str, value: float, limit: float, unit: str = "s") -> None:
    """Print the figure with its limit; fail if it is above."""
    print(f"{what}: {value:.2f} {unit} (limit {limit:g} {unit})")
    assert value < limit, what


def main() -> None:
    """Measure all claims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one process of each in place of five")
    repeats, slower = (1, 3) if parser.parse_args().quick else (5, 1)
    python, vitmem = sys.executable, (sys.executable, "-m", "vitmem.cli.main")
    empty = spent(python, "-c", "pass", repeats=repeats).seconds
    claim("vitmem --help, its own imports", spent(*vitmem, "--help", repeats=repeats).seconds - empty, 0.5 * slower)
    with tempfile.TemporaryDirectory() as folder:
        suite = Path(folder) / "matrix.yaml"
        suite.write_text(MATRIX)
        out = subprocess.run([*vitmem, "plan", str(suite)], check=True, capture_output=True, text=True, cwd=ROOT)
        print(out.stdout.splitlines()[0])
        claim("vitmem plan, 5,000 cells", spent(*vitmem, "plan", str(suite), repeats=repeats).seconds, 3.0 * slower)
    tables = spent(*vitmem, "tables", "--check", repeats=repeats)
    rows = sum(path.read_bytes().count(b"\n") for path in ROOT.glob("results/*/rows.jsonl"))
    claim(f"vitmem tables --check, 5,000 of {rows:,} rows", tables.seconds * 5_000 / rows, 6.0 * slower)
    claim("vitmem tables --check, the committed rows", tables.memory, 500, "MB")
    subprocess.run([python, "-c", "import sys, vitmem.cli.tables; assert 'torch' not in sys.modules"], check=True)
    print("vitmem tables loads no torch")


if __name__ == "__main__":
    main()
