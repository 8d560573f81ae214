"""``vitmem run -T devices=2``: rows as of one device, one sentence when a process dies, and nothing left running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from vitmem.kfac import Factors

SUITE = """
name: devices
seeds: [0]
data: {name: digits, train: 301, validation: 60}
noise: {name: symmetric, rate: 0.1}
model: {name: vit, patch_size: 4, width: 16, depth: 1, heads: 2}
recipe: {epochs: EPOCHS, batch_size: 50, warmup_epochs: 1, curve_every: 1, crop: 1, precision: "32"}
edits:
  - {method: none}
  - {method: kfac, blocks: all, fraction: 0.1}
"""


def command(folder: Path, *options: str, epochs: int = 3) -> list[str]:
    suite = folder / "devices.yaml"
    suite.write_text(SUITE.replace("EPOCHS", str(epochs)))
    places = ["--results", str(folder / "results"), "--store", str(folder / "store"), "--device", "cpu"]
    return [sys.executable, "-m", "vitmem.cli.main", "run", str(suite), *places, *options]


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "results" / "devices" / "rows.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_rows_of_two_devices_are_those_of_one(tmp_path: Path) -> None:
    found = {}
    for devices in ("1", "2"):
        folder = tmp_path / devices
        folder.mkdir()
        subprocess.run(command(folder, "-T", f"devices={devices}"), check=True, capture_output=True)
        found[devices] = rows(folder)
    for one, two in zip(found["1"], found["2"], strict=True):
        assert one["id"] == two["id"] and one["config"] == two["config"] and "trainer" not in one["config"]["recipe"]
        # a rank among neighbours may turn by rounding: one image of 301
        assert one["metrics"] == pytest.approx(two["metrics"], abs=1 / 200) and one["outcomes"] == two["outcomes"]
        assert two["environments"]["training"]["devices"] == 2 and "devices" not in one["environments"]["training"]
    assert [row["environments"]["statistics"]["devices"] for row in found["2"] if "statistics" in row["ids"]] == [2]
    one, two = (next((tmp_path / n / "store" / "training").iterdir()) / "model.safetensors" for n in ("1", "2"))
    first, second = load_file(one), load_file(two)
    assert all((first[key] - second[key]).abs().max() < 1e-3 for key in first)  # Adam divides by small gradients
    for file in (tmp_path / "1" / "store" / "statistics").rglob("factors.safetensors"):
        other = tmp_path / "2" / file.relative_to(tmp_path / "1")
        for path, a in Factors.load(file).layers.items():
            b = Factors.load(other).layers[path]
            assert a.count == b.count and (a.a - b.a).abs().max() < 1e-3 * a.a.abs().max()
            assert (a.g - b.g).abs().max() < 1e-2 * a.g.abs().max()


def children(pid: int) -> list[int]:
    """Return the processes that ``pid`` has spawned, those of multiprocessing's resource tracker left out."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in found if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for(condition: Callable[[], Any], seconds: float = 600) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.1)
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
@pytest.mark.parametrize("killed", ["rank 1", "told to stop", "rank 0"])
def test_what_is_killed_ends_all_and_goes_on(tmp_path: Path, killed: str) -> None:
    epochs = 4000
    run = subprocess.Popen(command(tmp_path, "-T", "devices=2", epochs=epochs), stdout=-1, stderr=-1, text=True)
    try:
        wait_for(lambda: list((tmp_path / "store" / "training").glob("*/checkpoints/last.ckpt")))
        (other,) = children(run.pid)
        sent = {"rank 1": (other, signal.SIGKILL), "told to stop": (run.pid, signal.SIGTERM)}
        os.kill(*sent.get(killed, (run.pid, signal.SIGKILL)))
        out, err = run.communicate(timeout=300)
    finally:
        run.kill()
    wait_for(lambda: not alive(other))
    if killed == "rank 1":
        assert run.returncode == 1
        said = "training: the process of device 1 ended with exit code -9; run the same command again"
        assert all(row["reason"].startswith(said) for row in rows(tmp_path)) and said in out
    elif killed == "told to stop":
        assert run.returncode == 130 and "stopped; the same command goes on from here" in err
    assert "Traceback" not in err, err
    assert list((tmp_path / "store" / "training").glob("*/checkpoints/last.ckpt"))
