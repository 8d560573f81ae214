"""Files that a suite names are in ids and seeds by their content: not by their place, and not by their name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file
from torch import nn

from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import run_suite
from vitmem.bench.stages import open_session
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.contents import File
from vitmem.errors import InputError
from vitmem.models.base import ImageShape, build
from vitmem.registry import MODELS
from vitmem.specs import seed_from

VIT = {"name": "vit", "patch_size": 4, "width": 12, "depth": 2, "heads": 2}
SUITE: dict[str, Any] = {
    "name": "contents",
    "seeds": [0],
    "data": {"name": "digits", "train": 60, "validation": 20},
    "noise": {"name": "symmetric", "rate": 0.2},
    "model": VIT,
    "recipe": {"epochs": 1, "precision": "32"},
    "edits": [{"method": "none"}],
}


def suite(folder: Path, **changes: Any) -> Path:
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump({**SUITE, **changes}))
    return path


def network(seed: int = 1, classes: int = 10) -> nn.Module:
    params = {key: value for key, value in VIT.items() if key != "name"}
    return build(MODELS.get("vit").parse(params, ""), ImageShape(1, 8, classes), seed).net


def matrix(path: Path, rate: float) -> None:
    rows = np.full((10, 10), rate / 9) + np.eye(10) * (1 - rate - rate / 9)
    np.savetxt(path, rows)


def labels(path: Path, first: float) -> None:
    path.write_text(f"label\n{int(first)}\n2\n")


def logits(path: Path, scale: float) -> None:
    save_arrays({"logits": np.random.default_rng(0).normal(size=(1797, 10)) * scale}, path)


def weights(path: Path, seed: float) -> None:
    save_file(network(int(seed)).state_dict(), path)


def windows(path: Path, token: float) -> None:
    path.write_text(json.dumps({"prefix_ids": [1, int(token)], "suffix_ids": [3]}) + "\n")


def folder(path: Path, width: float) -> None:
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps({"hidden_size": width}))


PASSAGES = {"noise": None, "recipe": None, "data": {"name": "passages"}}
NAMED: dict[str, tuple[Callable[[Path, float], None], Callable[[str], dict[str, Any]]]] = {
    "weights": (weights, lambda file: {"model": {**VIT, "weights": file}}),
    "transition": (matrix, lambda file: {"noise": {"name": "transition", "file": file}}),
    "file": (labels, lambda file: {"noise": {"name": "file", "path": file, "key": "label"}}),
    "pmd": (logits, lambda file: {"noise": {"name": "pmd", "rate": 0.1, "probabilities": file}}),
    "memorized": (
        windows,
        lambda file: {
            **PASSAGES,
            "data": {"name": "memorized", "file": file},
            "model": {"name": "pretrained", "source": "x/y"},
        },
    ),
    "source": (folder, lambda file: {**PASSAGES, "model": {"name": "pretrained", "source": file}}),
}


@pytest.mark.parametrize("name", NAMED)
def test_the_content_and_not_the_place_makes_the_id(name: str, tmp_path: Path) -> None:
    write, of = NAMED[name]
    (tmp_path / "data").mkdir()
    (tmp_path / "else").mkdir()

    def planned(file: str) -> tuple[str, int]:
        (cell,) = make_plan(load_suite(path := suite(tmp_path, **of(file))), path, tmp_path / "data").cells
        return cell.training.id, seed_from("noise", cell.config["noise"], cell.config["model"], cell.config["data"])

    write(tmp_path / "data" / "mine", 0.1 if name == "transition" else 1)
    first = planned("mine")
    write(tmp_path / "else" / "other", 0.1 if name == "transition" else 1)
    assert planned(str(tmp_path / "else" / "other")) == first
    write(tmp_path / "data" / "mine", 0.2 if name == "transition" else 2)
    changed = planned("mine")
    assert changed[0] != first[0] and changed[1] != first[1]
    assert planned("missing")[0] not in (first[0], changed[0])


def test_what_names_its_content_already_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stored = "store/evaluation/288aac857254d6b8/predictions.safetensors"
    Path(stored).parent.mkdir(parents=True)
    Path(stored).write_bytes(b"x")
    assert File.model_validate(stored).known(None).model_dump() == stored


def places(folder: Path) -> Places:
    return Places(Store(folder / "store"), folder, folder / "cache", "cpu")


def test_a_network_starts_from_the_weights_in_a_file(tmp_path: Path) -> None:
    torch.save(
        {"state_dict": {f"module.{k}": v for k, v in network(1).state_dict().items()}, "epoch": 3}, tmp_path / "w.pt"
    )
    plan = make_plan(load_suite(path := suite(tmp_path, model={**VIT, "weights": "w.pt"})), path, tmp_path)
    session = open_session(plan.jobs()[0].training, places(tmp_path))
    expected = network(1).state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in session.experiment.net.state_dict().items())
    assert run_suite(plan, places(tmp_path), tmp_path / "results").failed == 0
    trained = load_file(tmp_path / "store" / "training" / plan.cells[0].training.id / "model.safetensors")
    apart = float((trained["patch_embed.proj.weight"] - expected["patch_embed.proj.weight"]).norm())
    assert 0 < apart < 0.5 * float(expected["patch_embed.proj.weight"].norm())
    assert "sha256" in (tmp_path / "results" / "contents" / "rows.jsonl").read_text()


@pytest.mark.parametrize("classes", [7, 0])
def test_another_classifier_is_drawn_anew(classes: int, tmp_path: Path) -> None:
    state = network(1, classes or 10).state_dict()
    save_file({k: v for k, v in state.items() if classes or "head" not in k}, tmp_path / "w.safetensors")
    plan = make_plan(load_suite(path := suite(tmp_path, model={**VIT, "weights": "w.safetensors"})), path, tmp_path)
    found = open_session(plan.jobs()[0].training, places(tmp_path)).experiment.net.state_dict()
    assert all(torch.equal(found[key], value) for key, value in state.items() if "head" not in key)
    assert found["head.weight"].shape == (10, 12)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ({**VIT, "weights": "nowhere.pt"}, "nowhere.pt: no such file"),
        ({**VIT, "weights": "."}, "expected a file, got a folder"),
        ({**VIT, "weights": "w.safetensors", "depth": 3}, "not the weights of vit: of"),
        ({**VIT, "weights": "w.safetensors", "width": 24}, "that of vit for 1x8x8 images is"),
        (
            {"name": "timm/test_vit", "weights": "w.safetensors", "pretrained": True},
            "'weights' or 'pretrained', got both",
        ),
        ({"name": "timm/test_vit", "arguments": {"checkpoint_path": "w.pt"}}, "'arguments' cannot load weights"),
        ({"name": "timm/test_vit", "arguments": {"pretrained_cfg_overlay": {"file": "w"}}}, "cannot load weights"),
        ({"name": "timm/hf-hub:someone/model"}, "unknown timm architecture 'hf-hub:someone/model'"),
        ({"name": "timm/local-dir:w"}, "unknown timm architecture 'local-dir:w'"),
    ],
)
def test_wrong_weights(model: dict[str, Any], says: str, tmp_path: Path) -> None:
    save_file(network().state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(InputError) as error:
        plan = make_plan(load_suite(path := suite(tmp_path, model=model)), path, tmp_path)
        run_suite(plan, places(tmp_path), tmp_path / "results")
    assert says in str(error.value)


@pytest.mark.parametrize("key", ["weights", "weights_backbone"])
def test_torchvision_loads_no_weights_of_its_own(key: str) -> None:
    params = MODELS.get("torchvision").parse({"arguments": {key: "DEFAULT"}}, "")
    with pytest.raises(InputError, match="'arguments' cannot load weights"):
        build(params, ImageShape(3, 32, 10), 0, "resnet18")


def test_a_file_that_changes_between_plan_and_training(tmp_path: Path) -> None:
    weights(tmp_path / "w.safetensors", 1)
    plan = make_plan(load_suite(path := suite(tmp_path, model={**VIT, "weights": "w.safetensors"})), path, tmp_path)
    weights(tmp_path / "w.safetensors", 2)
    with pytest.raises(InputError, match="its content has changed since planning"):
        run_suite(plan, places(tmp_path), tmp_path / "results")


def test_weights_of_a_language_model_are_refused(tmp_path: Path) -> None:
    changes = {"data": {"name": "spectrum"}, "noise": None, "model": {"name": "llama", "weights": "w.safetensors"}}
    path = suite(tmp_path, **changes)
    with pytest.raises(InputError, match="'weights' is for image models"):
        make_plan(load_suite(path), path)
