"""Headroom end to end on real digits: the numbers of the network with the edited matrices at zero, beside each edit."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml

from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import run_suite
from vitmem.bench.stages import ensure_training, open_session
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.kfac import find_layers
from vitmem.metrics.headroom import headroom
from vitmem.metrics.labels import labels
from vitmem.rows import read_rows

NAMES = ("memorized", "recovered", "validation")
CONTENT = {
    "name": "tiny",
    "seeds": [0],
    "data": {"name": "digits", "train": 200, "validation": 100},
    "noise": {"name": "symmetric", "rate": 0.2},
    "model": {"name": "residual_mlp", "width": 32, "hidden": 64},
    "recipe": {"epochs": 10, "batch_size": 20, "lr": 0.005, "warmup_epochs": 1, "precision": "32"},
    "edits": [
        {"method": "none"},
        {"method": "ablate", "blocks": "last"},
        {"method": "kfac_input", "blocks": ["last", "all"], "fraction": 0.2},
        {"method": "uniform_scaling", "blocks": "last", "factor": 0.5},
        {"method": "kfac_input", "blocks": "last", "layers": ["fc1"], "fraction": 0.2},
    ],
}


def test_each_edit_has_the_numbers_without_its_matrices(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(CONTENT))
    places = Places(Store(tmp_path / "store"), None, tmp_path / "cache", "cpu")
    suite = load_suite(path)
    plan = make_plan(suite, path)
    run_suite(plan, places, tmp_path / "results")
    rows = {row["id"]: row for row in read_rows(tmp_path / "results" / "tiny" / "rows.jsonl")}
    assert len(rows) == 6 and all(row["status"] == "ok" for row in rows.values())

    session = open_session(plan.cells[0].training, places)
    ensure_training(session)
    for cell in plan.cells:
        edit, metrics = cell.config["edit"], rows[cell.id]["metrics"]
        ablated = cell.ablated
        if ablated is None:
            assert edit["method"] == "none" and not [name for name in metrics if name.startswith("ablated_")]
            continue
        # the truth: the same network with zeros written into it
        layers = find_layers(session.experiment.net, session.experiment.patterns(edit["blocks"], edit.get("layers")))
        zeros = {path: torch.zeros_like(layer.weight.flatten(1)) for path, layer in layers.items()}
        predictions = session.experiment.predictions(session.experiment.predict(zeros), "report")
        found = labels(predictions, predictions)
        assert {f"ablated_{name}": found[name] for name in NAMES} == {
            name: value for name, value in metrics.items() if name.startswith("ablated_")
        }
        if edit["method"] == "ablate":
            assert ablated.id == cell.id
            assert all(metrics[f"ablated_{name}"] == metrics[name] for name in NAMES)
        assert headroom(predictions, predictions) == {}
    of_all = next(r for r in rows.values() if r["config"]["edit"].get("blocks") == "all")
    of_last = next(r for r in rows.values() if r["config"]["edit"]["method"] == "ablate")
    assert of_all["metrics"]["ablated_validation"] < of_last["metrics"]["ablated_validation"]
