"""Start-up and planning times: asserts what the command line promises.

``vitmem --help`` under 0.5 s of its own imports, ``vitmem plan`` on 5,000 cells under 3 s, ``vitmem tables``
under 2 s and without torch. Each figure is the median of five whole processes.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]

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


def seconds(*command: str, repeats: int = 5) -> float:
    """Return the median wall time of ``command`` as a whole process."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def claim(what: str, value: float, limit: float) -> None:
    """Print the figure beside its limit and fail when it is over."""
    print(f"{what}: {value:.2f} s (limit {limit} s)")
    assert value < limit, what


def main() -> None:
    """Measure all four claims."""
    python = sys.executable
    empty = seconds(python, "-c", "pass")
    claim("vitmem --help, its own imports", seconds(python, "-m", "vitmem.cli.main", "--help") - empty, 0.5)
    with tempfile.TemporaryDirectory() as folder:
        suite = Path(folder) / "matrix.yaml"
        suite.write_text(MATRIX)
        out = subprocess.run(
            [python, "-m", "vitmem.cli.main", "plan", str(suite)], check=True, capture_output=True, text=True, cwd=ROOT
        )
        print(out.stdout.splitlines()[0])
        claim("vitmem plan, 5,000 cells", seconds(python, "-m", "vitmem.cli.main", "plan", str(suite)), 3.0)
    claim(
        "vitmem tables --check, the committed rows", seconds(python, "-m", "vitmem.cli.main", "tables", "--check"), 2.0
    )
    program = "import sys, vitmem.cli.tables; assert 'torch' not in sys.modules"
    subprocess.run([python, "-c", program], check=True)
    print("vitmem tables loads no torch")


if __name__ == "__main__":
    main()
