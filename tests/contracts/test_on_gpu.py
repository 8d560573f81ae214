"""The same on a GPU as on a processor: statistics, edits, measures. They run where there is a CUDA device."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from vitmem.adapters.vision import VisionTask
from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import rows_path, run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.kfac import Factors, Tempered, find_layers, fit_for
from vitmem.models.base import ImageShape, VisionModel, build
from vitmem.registry import MODELS
from vitmem.rows import read_rows

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
SUITE: dict[str, Any] = {
    "name": "devices",
    "seeds": [0],
    "data": {"name": "digits", "train": 400, "validation": 200},
    "noise": {"name": "symmetric", "rate": 0.1},
    "model": [
        {"name": "mixer", "patch_size": 4, "width": 32, "depth": 2},
        {"name": "vit", "patch_size": 4, "width": 32, "depth": 2, "heads": 2},
    ],
    "recipe": {"epochs": 15, "batch_size": 50, "precision": "32"},
    "statistics": [{"labels": ["exact", "logit_jacobian"]}, {"labels": "exact", "held_out": True, "temperature": 2}],
    "edits": [
        {"method": "none"},
        {"method": "kfac", "blocks": "last", "mass": 0.9, "importance": ["kfac", "ckfac", "ekfac"]},
        {"method": "iterated", "blocks": "last", "fraction": 0.1, "rounds": 2},
        {"method": "svd", "blocks": "last", "rank_fraction": 0.3},
        {"method": "sap", "blocks": "last", "alpha": 10.0},
        {"method": "balanced_subnet", "blocks": "last", "ratio": 0.1},
        {"method": "eu_k", "blocks": "last", "steps": 20},
    ],
}


def model() -> VisionModel:
    params = MODELS.get("vit").parse({"patch_size": 4, "width": 32, "depth": 2, "heads": 2}, "model")
    return build(params, ImageShape(1, 8, 10), seed=0)


@pytest.mark.parametrize("moments", ["plain", "coupled", "diagonal", "eigen"])
@pytest.mark.parametrize("labels", ["sampled", "given", "exact", "logit_jacobian"])
def test_statistics(labels: Any, moments: Any) -> None:
    images, given = torch.randn(60, 1, 8, 8), torch.randint(10, (60,))
    found: dict[str, Factors] = {}
    for device in ("cpu", "cuda"):
        net = model().net.to(device)
        batch = images.to(device), given.to(device)
        task = Tempered(VisionTask("all", 1), 0.5)  # logits of an untrained network are all alike
        layers = find_layers(net, ["*.fc1", "*.fc2"])
        found[device] = fit_for(net, layers, task, lambda batch=batch: [batch], moments, labels=labels, seed=0)
    for path, ours in found["cpu"].layers.items():
        theirs = found["cuda"].layers[path]
        assert ours.count == theirs.count
        for name in ("a", "g", "a_coupled", "g_coupled", "a_diagonal", "g_diagonal"):
            expected, got = getattr(ours, name), getattr(theirs, name)
            assert (expected is None) == (got is None)
            if expected is not None:
                assert (got.cpu() - expected).norm() <= 1e-3 * expected.norm(), (path, name)


def test_the_same_weights_are_edited_and_measured_alike(tmp_path: Path) -> None:
    suite = tmp_path / "devices.yaml"
    suite.write_text(yaml.safe_dump(SUITE))
    plan = make_plan(load_suite(suite), suite)
    rows: dict[str, dict[str, Any]] = {}
    for device in ("cuda", "cpu"):
        folder = tmp_path / device
        if device == "cpu":  # what was trained on the GPU alone
            shutil.copytree(tmp_path / "cuda" / "store" / "training", folder / "store" / "training")
        places = Places(Store(folder / "store"), None, folder / "cache", device)
        run_suite(plan, places, folder / "results")
        rows[device] = {row["id"]: row for row in read_rows(rows_path(folder / "results", "devices"))}
    assert rows["cuda"].keys() == rows["cpu"].keys() and len(rows["cuda"]) == len(plan.cells)
    for id, ours in rows["cuda"].items():
        theirs = rows["cpu"][id]
        assert ours["status"] == theirs["status"] == "ok", ours.get("reason") or theirs.get("reason")
        assert ours["environment"]["device"] == "cuda" and ours["costs"]["edit_peak_bytes"] > 0
        assert ours["ids"] == theirs["ids"] and ours["noise"] == theirs["noise"]
        edit = ours["config"]["edit"]["method"]
        # training on a GPU and on a processor goes apart step by step
        rough = 0.15 if edit in ("eu_k", "balanced_subnet") else 0.06
        for name in ("memorized", "recovered", "validation"):
            assert ours["metrics"][name] == pytest.approx(theirs["metrics"][name], abs=rough), (edit, name)
        if "kept_pairs" in ours["edit"] and edit in ("kfac", "iterated", "svd"):
            assert ours["edit"]["relative_change"] == pytest.approx(theirs["edit"]["relative_change"], rel=0.02)
