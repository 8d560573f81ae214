"""Kill a run at its file operations, again and again, and compare what the last try leaves with an undisturbed run.

Usage: kill.py SUITE FOLDER KILLS [SEED]. A try dies by SIGKILL just before its n-th file operation (a file opened to
write, a rename, a removal, a new folder), n drawn anew for each try; when a try ends by itself, the next one begins
with an empty store. The summary line counts the kills and the runs whose rows or predictions differ.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.files import file_digest
from vitmem.rows import read_rows

WRITES = os.O_WRONLY | os.O_RDWR
OPERATIONS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree", "os.truncate")


def changes_files(event: str, args: tuple[Any, ...]) -> bool:
    """Say whether an audit event of Python is an operation that changes files."""
    return event in OPERATIONS or (event == "open" and isinstance(args[2], int) and bool(args[2] & WRITES))


def run(suite: Path, folder: Path, die_at: int | None) -> None:
    """Run ``suite`` with everything it writes inside ``folder``; die before file operation number ``die_at``."""
    done = 0

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal done
        if changes_files(event, args):
            done += 1
            if done == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    plan = make_plan(load_suite(suite), suite)
    places = Places(Store(folder / "store"), None, folder / "cache", "cpu")
    run_suite(plan, places, folder / "results")
    (folder / "operations").write_text(str(done))


def attempt(suite: Path, folder: Path, die_at: int | None) -> bool:
    """Run in a child process; return whether it was killed. Raises RuntimeError when it fails."""
    child = os.fork()
    if child == 0:
        run(suite, folder, die_at)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return True
    if status:
        raise RuntimeError(f"a try after a kill failed with {os.waitstatus_to_exitcode(status)} in {folder}")
    return False


def result(suite: Path, folder: Path) -> dict[str, Any]:
    """Return what two runs of the same suite have in common: rows without clocks, and digests of the predictions."""
    rows = read_rows(folder / "results" / suite.stem / "rows.jsonl")
    plain = [{k: v for k, v in row.items() if k not in ("costs", "environment")} for row in rows]
    stored = sorted((folder / "store" / "evaluation").glob("*/predictions.safetensors"))
    left = [*folder.glob("store/*/*.partial"), *folder.glob("results/*/*.tmp"), *folder.glob("results/*/.*.tmp")]
    return {
        "rows": json.dumps(plain, sort_keys=True),
        "predictions": {path.parent.name: file_digest(path) for path in stored},
        "left": [path.name for path in left],
    }


def main() -> None:
    """Kill until the asked number of kills is reached and the last run has ended; print the counts."""
    suite, folder, kills = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    draw = random.Random(int(sys.argv[4]) if len(sys.argv) > 4 else 0)
    attempt(suite, folder / "whole", None)
    whole = result(suite, folder / "whole")
    operations = int((folder / "whole" / "operations").read_text())
    killed = runs = wrong = 0
    while killed < kills:
        trial = folder / f"trial{runs}"
        # a resumed try has less left to do: its moments are drawn near its beginning
        while attempt(suite, trial, die_at=draw.choice([draw.randint(1, operations), draw.randint(1, 12)])):
            killed += 1
        runs += 1
        if (found := result(suite, trial)) != whole:
            wrong += 1
            print(trial, "differs:", [key for key in whole if found[key] != whole[key]], found["left"])
        else:
            shutil.rmtree(trial)
    print(f"kills {killed}, operations of a run {operations}, runs {runs}, runs that differ {wrong}")


if __name__ == "__main__":
    main()
