"""Trainings on a real Ray cluster of two nodes, one of which is lost; the rows are those of a local run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from vitmem.bench.executors.ray import RayCluster
from vitmem.bench.experiment import Places
from vitmem.bench.plan import Plan, make_plan
from vitmem.bench.runner import Outcome, rows_path, run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.cli.main import app
from vitmem.errors import InputError
from vitmem.rows import read_rows

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")
pytestmark = pytest.mark.cluster

PLUGIN = """
from vitmem.edits.base import EditContext, EditResult
from vitmem.registry import EDITS

@EDITS.register("as_it_is", uses="data-free")
def as_it_is(context: EditContext) -> EditResult:
    return EditResult({}, {})
"""
SUITE: dict[str, Any] = {
    "name": "rays",
    "seeds": [0, 1],
    "plugins": ["mine.py"],
    "data": {"name": "digits", "train": 400, "validation": 60},
    "noise": {"name": "symmetric", "rate": 0.2},
    "model": {"name": "vit", "patch_size": 4, "width": 16, "depth": 1, "heads": 1},
    "recipe": {"epochs": 40, "batch_size": 20, "warmup_epochs": 0, "precision": "32"},
    "edits": [
        {"method": "none"},
        {"method": "kfac", "blocks": "last", "fraction": [0.1, 0.5]},
        {"method": "as_it_is", "blocks": "last"},
    ],
}
CLOCKS = ("costs", "environment", "environments")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    made = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(PLUGIN)
    file = tmp_path / "rays.yaml"
    file.write_text(yaml.safe_dump(SUITE))
    return file


@pytest.fixture
def plan(suite: Path) -> Plan:
    return make_plan(load_suite(suite), suite)


def run(plan: Plan, folder: Path, cache: Path, **options: Any) -> Outcome:
    return run_suite(plan, Places(Store(folder / "store"), None, cache, "cpu"), folder / "results", **options)


def rows(folder: Path) -> list[dict[str, Any]]:
    found = read_rows(rows_path(folder / "results", "rays"))
    return [{key: value for key, value in row.items() if key not in CLOCKS} for row in found]


def test_two_nodes_one_of_which_is_lost(cluster: Any, plan: Plan, tmp_path: Path) -> None:
    second = cluster.add_node(num_cpus=1)

    def lose() -> None:
        while len(list(tmp_path.glob("store/training/*.partial/checkpoints/last.ckpt"))) < 2:
            time.sleep(0.05)
        cluster.remove_node(second, allow_graceful=False)

    threading.Thread(target=lose, daemon=True).start()
    outcome = run(plan, tmp_path, tmp_path / "cache", execute=RayCluster(cluster.address, {}))
    assert (outcome.cells, outcome.made, outcome.failed, outcome.elsewhere) == (8, 8, 0, 0)
    assert run(plan, tmp_path / "alone", tmp_path / "cache").made == 8
    assert rows(tmp_path) == rows(tmp_path / "alone")
    ends = [p for p in tmp_path.glob("store/training/*/logs/*/metrics.csv") if ",39,,,799," in p.read_text()]
    assert len(ends) == len({p.parts[-4] for p in ends}) == 2


def test_what_cannot_be_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    suite = tmp_path / "rays.yaml"
    suite.write_text(yaml.safe_dump({**SUITE, "plugins": [], "edits": SUITE["edits"][:1]}))

    def said(*options: str) -> str:
        done = CliRunner().invoke(app, ["run", str(suite), "--device", "cpu", *options])
        assert isinstance(done.exception, InputError), done.output
        return str(done.exception)

    assert "expected --address, host:port of a cluster or 'local', got none" in said("--executor", "ray")
    assert "unknown executor 'rai'; did you mean 'ray'" in said("--executor", "rai")
    asked = ("--executor", "ray", "--address", "127.0.0.1:1")
    assert "unknown option of Ray 'num_gpu'; did you mean 'num_gpus'" in said(*asked, "-E", "num_gpu=1")
    assert "--address and -E need a cluster" in said("-E", "num_gpus=1")
    assert "no Ray cluster at '127.0.0.1:1'" in said(*asked)
    assert "no Ray cluster at 'here'" in said("--executor", "ray", "--address", "here")
