"""The script for a GPU machine, on the processor: a run that is stopped, goes on, and brings its rows back."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu" / "run.py"
sys.path.insert(0, str(SCRIPT.parent))
import estimate  # noqa: E402
import run as script  # noqa: E402

SUITE = {
    "name": "tiny_gpu",
    "seeds": 3,
    "data": {"name": "digits", "train": 300, "validation": 100},
    "noise": {"name": "symmetric", "rate": 0.1},
    "model": {"name": "residual_mlp", "width": 16, "hidden": 32, "depth": 1},
    "recipe": {"epochs": 20, "batch_size": 50, "precision": "32"},
    "edits": [{"method": "none"}, {"method": "kfac_input", "blocks": "all", "fraction": [0.1, 0.2]}],
}


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "tiny_gpu.yaml"
    path.write_text(yaml.safe_dump(SUITE))
    return path


def command(suite: Path, *more: str) -> list[str]:
    folder = suite.parent
    places = ("--results", str(folder / "results"), "--store", str(folder / "store"), "--device", "cpu")
    return [sys.executable, str(SCRIPT), str(suite), "--workers", "1", *places, *more]


def rows_in(archive: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if member.name.endswith(".jsonl"):
                content = tar.extractfile(member)
                assert content is not None
                found |= {row["id"]: row for row in map(json.loads, content.read().decode().splitlines())}
    return found


def test_a_run_that_is_ended_brings_its_rows_back_and_goes_on_elsewhere(suite: Path, tmp_path: Path) -> None:
    rows = tmp_path / "store" / "rows" / "tiny_gpu"
    process = subprocess.Popen(
        command(suite, "--archive", str(tmp_path / "first.tar.gz")),
        stdout=subprocess.PIPE,
        text=True,
        # as in the background of a shell
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    while process.poll() is None and not any(path.stat().st_size for path in rows.glob("*.jsonl")):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0 and "bring back: " in said
    first = rows_in(tmp_path / "first.tar.gz")
    assert 0 < len(first) < 9
    for name in ("results", "store"):  # another machine, with nothing but the archive
        shutil.rmtree(tmp_path / name)
    more = ("--resume", str(tmp_path / "first.tar.gz"), "--archive", str(tmp_path / "second.tar.gz"))
    done = subprocess.run(command(suite, *more), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    second = rows_in(tmp_path / "second.tar.gz")
    assert len(second) == 9 and {row["status"] for row in second.values()} == {"ok"}
    assert all(second[id] == row for id, row in first.items())


def test_the_time_limit_stops_a_run(suite: Path, tmp_path: Path) -> None:
    suite.write_text(yaml.safe_dump({**SUITE, "recipe": {**SUITE["recipe"], "epochs": 100000}}))  # type: ignore[dict-item]
    done = subprocess.run(command(suite, "--minutes", "0.2"), capture_output=True, text=True, cwd=tmp_path, timeout=600)
    assert done.returncode == 0
    assert "the time is up; the same command continues from here" in done.stdout and "no row was made" in done.stdout


def test_a_dry_run_says_what_travels_and_a_measured_epoch_what_it_takes(suite: Path) -> None:
    done = subprocess.run(command(suite, "--measure"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "tiny_gpu: 9 cells, 3 trainings, 3 statistics; 0 done" in done.stdout
    assert "travels: code " in done.stdout and "3 trainings of 20 epochs take 0.0" in done.stdout
    assert not (suite.parent / "results").exists()


def test_data_sets_are_those_that_the_suite_names(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_text(
        "name: some\ndata:\n  - {name: [cifar10, cifar100], train: 10}  # name: x\n"
        "  - {name: image_folder, folder: pets}\n  - {name: hub, path: owner/birds}\nmodel: {name: vit}\n"
    )
    assert estimate.data_names(path) == ["cifar10", "cifar100", "pets", "owner/birds"]


def test_what_travels_is_packed_with_the_data(tmp_path: Path) -> None:
    path, data = tmp_path / "some.yaml", tmp_path / "d" / "cifar10"
    path.write_text("name: some\ndata: {name: cifar10}\n")
    data.mkdir(parents=True)
    (data / "train.parquet").write_bytes(b"x" * 7)
    options = script._options([str(path), "--data-dir", str(tmp_path / "d")])
    script.pack(tmp_path / "there.tar", script.travels(options))
    with tarfile.open(tmp_path / "there.tar") as tar:
        names = tar.getnames()
    assert "vitmem/data/cifar10/train.parquet" in names and "vitmem/vitmem/specs.py" in names
    assert "vitmem/benchmarks/gpu/run.py" in names and not any("results" in name.split("/")[:2] for name in names)


def test_a_requirement_that_is_not_met_is_seen() -> None:
    assert script.satisfied(sys.executable, ["numpy>=1.26"])
    assert not script.satisfied(sys.executable, ["numpy>=99.1"])
    assert not script.satisfied(sys.executable, ["no-such-package>=1"])
