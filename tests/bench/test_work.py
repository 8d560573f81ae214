"""Several workers on one suite, killed or stopped: the rows of an undisturbed run, and no training twice to its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import Outcome, rows_path, run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.bench.work import work
from vitmem.cli.main import app
from vitmem.errors import VitmemError
from vitmem.registry import EDITS
from vitmem.rows import read_rows

SUITE: dict[str, Any] = {
    "name": "queue",
    "seeds": [0, 1, 2],
    "data": {"name": "digits", "train": 400, "validation": 60},
    "noise": {"name": "symmetric", "rate": 0.2},
    "model": {"name": "vit", "patch_size": 4, "width": 16, "depth": 1, "heads": 1},
    "recipe": {"epochs": 30, "batch_size": 20, "warmup_epochs": 0, "precision": "32"},
    "edits": [{"method": "none"}, {"method": "kfac", "blocks": "last", "fraction": [0.1, 0.5]}],
}
CLOCKS = ("costs", "environment", "environments")


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    file = tmp_path / "queue.yaml"
    file.write_text(yaml.safe_dump(SUITE))
    return file


def worker(suite: Path, *options: str) -> subprocess.Popen[str]:
    places = ["--store", "store", "--cache-dir", "cache", "--device", "cpu"]
    command = [sys.executable, "-m", "vitmem.cli.main", "work", str(suite), *places, *options]
    pipe = subprocess.PIPE
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=suite.parent, stdout=pipe, stderr=pipe, text=True, env=environment)


def run(suite: Path, folder: Path) -> Outcome:
    places = Places(Store(folder / "store"), None, suite.parent / "cache", "cpu")
    return run_suite(make_plan(load_suite(suite), suite), places, folder / "results")


def rows(folder: Path) -> list[dict[str, Any]]:
    found = read_rows(rows_path(folder / "results", "queue"))
    return [{key: value for key, value in row.items() if key not in CLOCKS} for row in found]


def trained(folder: Path) -> list[str]:
    """Return the trainings whose last epoch was logged, once for each time."""
    return [p.parts[-4] for p in folder.glob("store/training/*/logs/*/metrics.csv") if ",29,,,599," in p.read_text()]


def test_workers_share_a_suite_and_one_that_is_killed_is_replaced(suite: Path, tmp_path: Path) -> None:
    first, second = worker(suite), worker(suite)
    while not list(tmp_path.glob("store/training/*.partial/checkpoints/last.ckpt")):
        assert first.poll() is None
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    third = worker(suite)
    said = [process.communicate(timeout=300) for process in (second, third)]
    assert second.returncode == third.returncode == 0, said
    assert run(suite, tmp_path) == Outcome(cells=9, found=9, made=0, failed=0)
    run(suite, tmp_path / "alone")
    assert rows(tmp_path) == rows(tmp_path / "alone")
    assert len(trained(tmp_path)) == len(set(trained(tmp_path))) == 3
    assert not list(tmp_path.glob("store/*/*.partial"))


def test_a_worker_ends_when_its_time_is_up_and_the_next_one_goes_on(suite: Path, tmp_path: Path) -> None:
    content = {**SUITE, "seeds": [0], "recipe": {**SUITE["recipe"], "epochs": 100_000}}
    suite.write_text(yaml.safe_dump(content))
    started = time.monotonic()
    process = worker(suite, "--until", "12s")
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and "stopped after 12s; the same command continues from here" in out
    assert time.monotonic() - started < 60
    (left,) = tmp_path.glob("store/training/*.1.partial/checkpoints/last.ckpt")
    again = worker(suite, "--until", "8s")
    again.communicate(timeout=120)
    (now,) = tmp_path.glob("store/training/*.partial/checkpoints/last.ckpt")
    assert now != left and not left.exists()


def test_what_failed_is_not_tried_by_every_worker(suite: Path, tmp_path: Path) -> None:
    calls = []

    @EDITS.register("failing", version=1, uses="data-free")
    def failing(context: Any) -> Any:
        calls.append(1)
        raise VitmemError("no")

    try:
        suite.write_text(yaml.safe_dump({**SUITE, "seeds": [0], "edits": [{"method": "failing", "blocks": "last"}]}))
        plan = make_plan(load_suite(suite), suite)
        places = Places(Store(tmp_path / "store"), None, tmp_path / "cache", "cpu")
        since = places.store.claims.now()
        for _ in range(3):
            work(plan, places, (), lambda event: None, since)
        assert len(calls) == 1
        work(plan, places, (), lambda event: None)  # a worker that comes later tries again
        assert len(calls) == 2
        shown = CliRunner().invoke(app, ["status", str(suite), "--store", str(tmp_path / "store")])
        assert shown.exit_code == 0, shown.output
        assert "1 cell; 0 done, 1 failed, 0 to do" in shown.stdout and "last failing: failed: no" in shown.stdout
        assert 'raise VitmemError("no")' in shown.stdout
    finally:
        EDITS.discard("failing")


def test_status_says_who_is_at_what(suite: Path, tmp_path: Path) -> None:
    process = worker(suite)
    command = ["status", str(suite), "--store", str(tmp_path / "store"), "--results", str(tmp_path / "results")]
    while not list(tmp_path.glob("store/training/*.partial/checkpoints/last.ckpt")):
        assert process.poll() is None
        time.sleep(0.02)
    text = CliRunner().invoke(app, command).stdout
    process.kill()
    process.communicate()
    assert "queue: 9 cells; 0 done, 0 failed, 9 to do" in text
    assert "running: 1 training" in text and f"process {process.pid}, since 20" in text
    assert "running: 0 trainings" in CliRunner().invoke(app, command).stdout


def test_an_odd_time_is_one_sentence(suite: Path) -> None:
    for text in ("soon", "0s", "5 m", "-1h"):
        done = CliRunner().invoke(app, ["work", str(suite), f"--until={text}"])
        assert "--until: expected a time such as 90s, 55m or 2h" in str(done.exception)
