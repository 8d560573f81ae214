"""Command lines with something wrong, and how each ends.

Usage: mutate_commands.py FOLDER COUNT [SEED]. Lines of verbs that compute little are changed at random and run in this
process. Each has to end with 0, 1 or 2 and, with 1 and 2, one sentence of at most 500 characters; slow is more than the
import of torch takes on a busy machine.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from vitmem.cli.exits import exit_code
from vitmem.cli.main import app

ROOT = Path(__file__).parents[2]
LINES = [
    ["plan", "demo.yaml"], ["plan", "demo.yaml", "--json"], ["plan", "demo.yaml", "--cells", "--store", "store"],
    ["plan", "demo.yaml", "--results", "results", "--plugin", "mine.py"], ["show", "01e98a01", "--json"],
    ["show", "01e98a01", "--results", "results"], ["tables", "--check"], ["tables", "--suite", "demo"],
    ["list", "methods"], ["list", "models", "--json"], ["list", "noises"],
    ["list", "data"], ["list", "metrics"], ["--version"], ["check", "noise", "pair", "--param", "rate=0.1"],
    ["run", "bad.yaml", "--results", "results", "--device", "cpu", "--workers", "1", "--only", "01e98a01"],
    ["analyse", "nowhere.yaml", "--only", "spectrum"], ["report", "nowhere", "--out", "out"],
    ["noise", "nothing", "--set", "rate=0.1", "--rate", "0.1", "--data", "digits", "--seed", "3"],
]  # fmt: skip
WORDS = [
    "", " ", "-", "--", "-x", "-h", "--help", "--nothing", "--json", "--results", "--suite", "--print", "0", "-1",
    "1e999", "nan", "=", "a=", "=b", "rate=", "rate=[", "rate={a: 1, a: 2}", "rate=017", "~", "~/x", "~nobody/x",
    "../..", "/", ".", "/dev/null", "/dev/zero", "/proc/self/mem", "x" * 300, "y" * 20_000, "\u00e4\U0001f600",
    "[red]", "$(ls)", "'", '"', "a\nb", "\x07", "demo", "results", "mine.py", "broken.py", "pipe", "empty.yaml",
    "bad.yaml", "d", "*", "{name: digits, name: digits}", "{name: 3}", "cuda:99", "cpu", "all",
]  # fmt: skip


def prepare(folder: Path) -> None:
    """Put what the lines name into ``folder``: a suite, some committed rows, plug-ins and files that are none."""
    shutil.copy(ROOT / "configs" / "suites" / "demo.yaml", folder)
    (folder / "results" / "demo").mkdir(parents=True)
    rows = (ROOT / "results" / "demo" / "rows.jsonl").read_text().splitlines(keepends=True)
    (folder / "results" / "demo" / "rows.jsonl").write_text("".join(rows[:3]))
    (folder / "mine.py").write_text("import vitmem\n")
    (folder / "broken.py").write_text("import sys\nsys.exit(0)\n")
    (folder / "empty.yaml").write_text("")
    (folder / "bad.yaml").write_text("name: bad\nname: bad\n")
    os.mkfifo(folder / "pipe")


def lines(count: int, seed: int) -> Iterator[list[str]]:
    """Yield ``count`` command lines with one to three words changed, added, taken away or moved."""
    rng = random.Random(seed)
    for _ in range(count):
        line = list(rng.choice(LINES))
        for _ in range(rng.choice([1, 1, 2, 3])):
            place, what = rng.randrange(len(line) + 1), rng.choice(["change", "add", "out", "letter", "twice"])
            if what == "add" or place == len(line):
                line.insert(place, rng.choice(WORDS))
            elif what == "change":
                line[place] = rng.choice(WORDS)
            elif what == "out" and len(line) > 1:
                del line[place]
            elif what == "twice":
                line.insert(place, line[place])
            elif line[place]:
                letter = rng.randrange(len(line[place]))
                line[place] = line[place][:letter] + rng.choice("x-= \t\u00e91") + line[place][letter + 1 :]
        # arguments of a process hold no null byte, and training is for other tests
        yield [word.replace("\x00", "") for word in line]


def ends(line: list[str]) -> tuple[str, str]:
    """Return how ``line`` ends (``0``, ``1``, ``2``, ``other`` or ``slow``) and what it says to the user."""
    started, out, err = time.process_time(), io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = exit_code(partial(app, line, standalone_mode=False))
        said = err.getvalue()
        sentence = said.startswith("vitmem: ") and said.count("\n") == 1 and len(said) < 500
        good = code == 0 or (code in (1, 2) and sentence)
        kind = str(code) if good else "other"
    except BaseException as error:  # an exit and a memory error count as much as a traceback
        said, kind = f"{type(error).__name__}: {str(error)[:300]}", "other"
    return ("slow" if time.process_time() - started > 40 else kind), said


def try_all(folder: Path, count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Run ``count`` lines inside ``folder``; return the counts and a text for each that ends badly."""
    prepare(folder)
    counts: Counter[str] = Counter()
    bad = []
    with contextlib.chdir(folder):
        for line in lines(count, seed):
            kind, said = ends(line)
            counts[kind] += 1
            if kind in ("other", "slow"):
                bad.append(f"{kind}: {' '.join(map(repr, line))[:200]}: {said[-600:]}")
    return counts, bad


def main(folder: Path, count: int, seed: int) -> int:
    counts, bad = try_all(folder, count, seed)
    print("\n".join(bad))
    print(f"{count} command lines: {dict(sorted(counts.items()))}")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0))
