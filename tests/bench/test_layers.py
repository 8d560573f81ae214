"""Other layers than those of MLPs through the matrix: convolutions of a ResNet, attention of a ViT and of a Swin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from vitmem.bench.cells import Cell
from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import rows_path, run_suite
from vitmem.bench.stages import ensure_training, open_session
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.edits.base import EditContext
from vitmem.edits.svd import Svd
from vitmem.kfac import edited, find_layers
from vitmem.rows import read_rows
from vitmem.specs import Statistics

TINY = Path(__file__).parent / "tiny.yaml"
ATTENTION = ("attn.qkv", "attn.proj")
SWIN = {"name": "timm/swin_tiny_patch4_window7_224", "image_size": 32}
CASES: dict[str, tuple[dict[str, Any], tuple[str, ...] | None, list[str]]] = {
    "resnet": ({"name": "timm/test_resnet", "image_size": 16}, None, ["layer4.0.conv1", "layer4.0.conv2"]),
    "vit": (
        {"name": "vit", "patch_size": 2, "width": 32, "depth": 2, "heads": 2},
        ATTENTION,
        ["blocks.1.attn.qkv", "blocks.1.attn.proj"],
    ),
    "swin": (SWIN, ("attn.*",), ["layers.3.blocks.1.attn.qkv", "layers.3.blocks.1.attn.proj"]),
}


@pytest.mark.parametrize("case", ["resnet", "vit", pytest.param("swin", marks=pytest.mark.slow)])
def test_a_suite(case: str, tmp_path: Path) -> None:
    model, layers, expected = CASES[case]
    edits: list[dict[str, Any]] = [
        {"method": "kfac", "fraction": 0.1},
        {"method": "svd", "rank_fraction": 0.2},
        {"method": "magnitude", "fraction": 0.5},
    ]
    common = {"blocks": "last", **({"layers": list(layers)} if layers else {})}
    suite = tmp_path / "tiny.yaml"
    content = {
        **yaml.safe_load(TINY.read_text()),
        "data": {"name": "digits", "train": 60, "validation": 40},
        "model": model,
        "recipe": {"precision": "32", "epochs": 1, "batch_size": 30, "lr": 1e-3, "warmup_epochs": 0},
        "edits": [{"method": "none"}, *({**edit, **common} for edit in edits)],
    }
    suite.write_text(yaml.safe_dump(content))
    places = Places(Store(tmp_path / "store"), None, tmp_path / "cache", "cpu")
    plan = make_plan(load_suite(suite), suite)
    assert run_suite(plan, places, tmp_path / "results").failed == 0
    for row in read_rows(rows_path(tmp_path / "results", "tiny")):
        if row["config"]["edit"]["method"] != "none":
            assert set(expected) <= set(row["edit"]["layers"])
            assert all(0 < report["relative_change"] < 2 for report in row["edit"]["layers"].values())
    cell = next(cell for cell in plan.cells if cell.config["edit"]["method"] == "svd")
    _check_predictions(cell, places)


def _check_predictions(cell: Cell, places: Places) -> None:
    """Assert that what the store has of a cell are full passes of the edited network."""
    session = open_session(cell.training, places)
    ensure_training(session)
    net, edit = session.experiment.net, cell.config["edit"]
    layers = find_layers(net, session.experiment.patterns(edit["blocks"], edit.get("layers")))
    context = EditContext(net, layers, None, seed=0)
    batches, _ = session.experiment.batches(Statistics())
    with torch.no_grad(), edited(net, Svd(rank_fraction=edit["rank_fraction"]).edit(context).weights):
        logits = torch.cat([net(images) for images, _ in batches])
    stored = load_file(places.store.folder("evaluation", cell.id) / "predictions.safetensors")["logits"]
    torch.testing.assert_close(stored.float(), logits, rtol=2e-3, atol=2e-3)
