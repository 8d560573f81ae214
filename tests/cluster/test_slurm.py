"""Workers on a real SLURM: one is killed, one is queued again; the rows are those of an undisturbed local run."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from vitmem.bench.claims import Claims
from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import Outcome, rows_path, run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.rows import read_rows

SUITE: dict[str, Any] = {
    "name": "cluster",
    "seeds": [0, 1, 2],
    "data": {"name": "digits", "train": 400, "validation": 60},
    "noise": {"name": "symmetric", "rate": 0.2},
    "model": {"name": "vit", "patch_size": 4, "width": 16, "depth": 1, "heads": 1},
    "recipe": {"epochs": 60, "batch_size": 20, "warmup_epochs": 0, "precision": "32"},
    "edits": [{"method": "none"}, {"method": "kfac", "blocks": "last", "fraction": [0.1, 0.5]}],
}
CLOCKS = ("costs", "environment", "environments")


def answers() -> bool:
    return shutil.which("sinfo") is not None and not subprocess.run(["sinfo"], capture_output=True).returncode


pytestmark = [pytest.mark.cluster, pytest.mark.skipif(not answers(), reason="needs a SLURM that answers ('sinfo')")]


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(SUITE))
    return file


def submit(suite: Path, tasks: int, *options: str) -> str:
    """Submit workers and return the id of their array."""
    places = ["--store", "store", "--cache-dir", "cache", "--workers", str(tasks)]
    command = [
        sys.executable,
        "-m",
        "vitmem.cli.main",
        "submit",
        str(suite),
        *places,
        "-E",
        "cpus_per_task=1",
        *options,
    ]
    done = subprocess.run(command, cwd=suite.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("jobs "))
    return re.split("[_;,]", line.removeprefix("jobs "))[0]


def wait_for(true: Callable[[], Any], seconds: float) -> Any:
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, subprocess.run(["squeue"], capture_output=True, text=True).stdout
        time.sleep(0.2)
    return found


def collected(suite: Path, folder: Path) -> Outcome:
    places = Places(Store(folder / "store"), None, suite.parent / "cache", "cpu")
    return run_suite(make_plan(load_suite(suite), suite), places, folder / "results")


def rows(folder: Path) -> list[dict[str, Any]]:
    found = read_rows(rows_path(folder / "results", "cluster"))
    return [{key: value for key, value in row.items() if key not in CLOCKS} for row in found]


def queued(array: str) -> list[str]:
    listed = subprocess.run(["squeue", "-h", "-j", array, "-o", "%i %T"], capture_output=True, text=True)
    return listed.stdout.split("\n")[:-1]


def test_one_worker_is_killed_and_one_preempted(suite: Path, tmp_path: Path) -> None:
    array = submit(suite, 2, "-E", "timeout_min=30")
    checkpoints = "store/training/*.partial/checkpoints/last.ckpt"
    wait_for(lambda: len(list(tmp_path.glob(checkpoints))) == 2, 120)
    claims = Claims(tmp_path / "store" / "claims")
    ids = [job.training.id for job in make_plan(load_suite(suite), suite).jobs()]
    holders = [holder for id in ids if (holder := claims.holder(f"training/{id}")) is not None]
    assert len(holders) == 2
    killed = holders[0].pid
    tasks = {
        task: int(Path(f"/proc/{holder.pid}/environ").read_text().split("SLURM_ARRAY_TASK_ID=")[1].split("\0")[0])
        for task, holder in enumerate(holders)
    }
    os.kill(killed, signal.SIGKILL)
    subprocess.run(["scontrol", "requeue", f"{array}_{tasks[1]}"], check=True)
    wait_for(lambda: not queued(array), 400)  # what is queued again waits two minutes
    assert collected(suite, tmp_path) == Outcome(cells=9, found=9, made=0, failed=0)
    assert not collected(suite, tmp_path / "alone").failed
    assert rows(tmp_path) == rows(tmp_path / "alone")
    ends = [p for p in tmp_path.glob("store/training/*/logs/*/metrics.csv") if ",59,,,1199," in p.read_text()]
    assert len(ends) == len({p.parts[-4] for p in ends}) == 3


def test_a_task_whose_time_is_over_goes_on(suite: Path, tmp_path: Path) -> None:
    suite.write_text(yaml.safe_dump({**SUITE, "seeds": [0], "recipe": {**SUITE["recipe"], "epochs": 300}}))
    array = submit(suite, 1, "-E", "timeout_min=30")
    wait_for(lambda: list(tmp_path.glob("store/training/*.partial/checkpoints/last.ckpt")), 120)
    # what SLURM sends before a task's end
    subprocess.run(["scancel", "--signal=USR2", array], check=True)
    wait_for(lambda: not queued(array), 400)
    assert collected(suite, tmp_path) == Outcome(cells=3, found=3, made=0, failed=0)
    (row, *_) = read_rows(rows_path(tmp_path / "results", "cluster"))
    assert row["costs"]["training_resumed"]
