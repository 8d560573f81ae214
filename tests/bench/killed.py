"""Run a suite in child processes that kill themselves at named points, then once undisturbed.

Usage: killed.py SUITE FOLDER. Children are forked after the imports, which take most of the time.
Prints, for each attempt, its name and whether it was killed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import vitmem.bench.job as job
import vitmem.protocols.image as vision
import vitmem.rows as rows
from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.kfac import Factors


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def on_call(number: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``function`` that dies when it is called for the ``number``-th time."""
    calls = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        return die() if calls == number else function(*args, **kwargs)

    return counted


def watch(folder: Path) -> None:
    """Die as soon as a training has left its first checkpoint."""
    while not list(folder.glob("store/training/*.partial/checkpoints/last.ckpt")):
        time.sleep(0.002)
    die()


def written(source: Path, target: Path) -> bool:
    """Say whether ``source`` is a row file, whole and not yet in its place."""
    return Path(target).name == "rows.jsonl" and Path(source).read_text().endswith("}\n")


def patch(point: str, folder: Path) -> None:
    if point == "training":
        threading.Thread(target=watch, args=(folder,), daemon=True).start()
    elif point == "statistics":
        Factors.save = die  # type: ignore[method-assign, assignment]
    elif point == "edit":
        vision.edited = on_call(2, vision.edited)  # type: ignore[assignment]
    elif point == "journal":
        job.keep_row = on_call(2, job.keep_row)
    elif point == "row":
        real = os.replace
        rows.os.replace = (  # type: ignore[attr-defined]
            lambda source, target: die() if written(source, target) else real(source, target)
        )


def run(suite: Path, folder: Path) -> None:
    plan = make_plan(load_suite(suite), suite)
    places = Places(Store(folder / "store"), None, folder / "cache", "cpu")
    run_suite(plan, places, folder / "results")


def main() -> None:
    suite, folder = Path(sys.argv[1]), Path(sys.argv[2])
    for point in ("training", "statistics", "edit", "journal", "row", "nothing", "undisturbed"):
        child = os.fork()
        if child == 0:
            patch(point, folder)
            run(suite, folder / "whole" if point == "undisturbed" else folder)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        print(point, "killed" if os.WIFSIGNALED(status) else f"ended {os.waitstatus_to_exitcode(status)}")


main()
