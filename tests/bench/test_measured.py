"""Costs by measured steps, beside those of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from vitmem.bench.costs import costs
from vitmem.bench.experiment import Places
from vitmem.bench.measured import measure
from vitmem.bench.plan import Plan, make_plan
from vitmem.bench.runner import run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.cli.plan import plan as print_plan
from vitmem.training.pace import Enough, Pace

Write = Callable[..., Path]


@pytest.fixture
def plan(write: Write) -> Plan:
    path = write(
        seeds=[0, 1],
        data={"name": "digits", "train": 200, "validation": 50},
        noise={"name": "symmetric", "rate": 0.2},
        model={"name": "vit", "patch_size": 4, "width": 32, "depth": 2, "heads": 2},
        recipe={"epochs": 5, "batch_size": 50, "precision": "32", "warmup_epochs": 0},
        statistics={"images": 100},
        edits=[{"method": "none"}, {"method": "kfac", "blocks": "all", "fraction": [0.1, 0.2]}],
    )
    return make_plan(load_suite(path), path)


def test_disk_is_that_of_a_run(plan: Plan, tmp_path: Path) -> None:
    store = tmp_path / "store"
    measured = measure(plan, (), None, tmp_path / "cache", "cpu", 2)
    expected = costs(plan, (), tmp_path, store, measured)
    assert not store.exists()
    assert (expected.trainings, expected.unknown, expected.unknown_edits) == (2, 0, 0)
    assert expected.seconds > 0 and expected.peak and "threads" in expected.machine
    run_suite(plan, Places(Store(store), None, tmp_path / "cache", "cpu"), tmp_path / "results")
    tensors = sum(file.stat().st_size for file in store.rglob("*.safetensors") if file.name != "learned.safetensors")
    # headers of the files are not counted, and one folder a layer has more of them
    assert expected.stored == pytest.approx(tensors, rel=0.2)


def test_the_time_of_a_training_is_that_of_its_steps(plan: Plan, tmp_path: Path) -> None:
    times = measure(plan, (), None, tmp_path / "cache", "cpu", 2).times
    assert all(len(values) == 1 and values[0] > 0 for values in times.values())
    # the first step warms up; the others take 2, 1 and 1 s
    ends = iter([0.0, 2.0, 3.0, 4.0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vitmem.training.pace.time.perf_counter", lambda: next(ends))
        pace = Pace(3)
        module = type("Module", (), {"device": torch.device("cpu"), "total_steps": 20})()
        trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
        with pytest.raises(Enough):
            for step in range(1, 6):
                patch.setattr(type(trainer), "global_step", step, raising=False)
                pace.on_train_batch_end(trainer, module)
    assert (pace.seconds, pace.total_steps) == (1.0, 20)


def test_plan_prints_it(plan: Plan, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    path = next(tmp_path.rglob("*.yaml"))
    print_plan(path, None, measure=True, steps=1, cache_dir=tmp_path / "cache", device="cpu")
    said = capsys.readouterr().out
    assert "by measured steps of" in said and "at most, by the same measured steps" in said and "in the store" in said
    assert not (tmp_path / "store").exists()
