"""What options of the trainer do in a training, and what a machine or a network does not fit is one sentence."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from safetensors.torch import load_file
from torch import nn

from vitmem.bench.experiment import Places
from vitmem.bench.preflight import check_trainer
from vitmem.bench.store import Store
from vitmem.data.noisy import NoisyImages
from vitmem.errors import InputError
from vitmem.models.base import VisionModel
from vitmem.recipe import Recipe
from vitmem.trainer import TrainerOptions
from vitmem.training.extras import check_loggers
from vitmem.training.fit import train
from vitmem.training.processes import check_normalised

NewModel = Callable[[], VisionModel]
RECIPE: dict[str, Any] = {"epochs": 2, "batch_size": 48, "curve_every": 1, "precision": "32"}


class Counts(Callback):
    """Counts the steps of all trainings."""

    steps = 0

    def on_train_batch_end(self, *_: Any) -> None:
        Counts.steps += 1


@pytest.fixture
def mine() -> Iterator[str]:
    """The name of a module of callbacks, as a plug-in's file has it."""
    module = ModuleType("vitmem_plugin_mine")
    module.Counts, module.Needs, module.nothing = Counts, lambda path: path, list  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    yield "mine"
    del sys.modules[module.__name__]


def run(new_model: NewModel, noisy: NoisyImages, folder: Path, **options: Any) -> dict[str, torch.Tensor]:
    folder.mkdir()
    train(new_model(), noisy, Recipe.model_validate({**RECIPE, "trainer": options}), 5, folder, device="cpu")
    return load_file(folder / "model.safetensors")


def test_a_limit_and_a_callback(new_model: NewModel, noisy: NoisyImages, tmp_path: Path, mine: str) -> None:
    run(new_model, noisy, tmp_path / "run", limit_train_batches=3, callbacks=[f"{mine}.Counts"])
    assert Counts.steps == 6
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 6 and last["lr_schedulers"][0]["last_epoch"] == 6


def test_each_gradient_is_clipped(new_model: NewModel, noisy: NoisyImages, tmp_path: Path) -> None:
    norm = run(new_model, noisy, tmp_path / "norm", gradient_clip_algorithm="norm")
    plain = run(new_model, noisy, tmp_path / "plain")
    value = run(new_model, noisy, tmp_path / "value", gradient_clip_algorithm="value")
    assert all(torch.equal(norm[key], plain[key]) for key in plain)
    assert not all(torch.equal(value[key], plain[key]) for key in plain)


@pytest.mark.parametrize(("names", "left"), [([], set()), (["csv"], {"logs"}), (["tensorboard"], {"tensorboard"})])
def test_loggers_by_name(
    names: list[str], left: set[str], new_model: NewModel, noisy: NoisyImages, tmp_path: Path
) -> None:
    run(new_model, noisy, tmp_path / "run", logger=names)
    assert {path.name for path in (tmp_path / "run").iterdir() if path.is_dir()} - {"checkpoints"} == left
    assert len(list(csv.DictReader((tmp_path / "run" / "curves.csv").open()))) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"logger": ["wandb"]}, "trainer: 'logger': wandb is not installed; pip install wandb, or take 'csv'"),
        ({"callbacks": ["nowhere.Mine"]}, "'nowhere.Mine' cannot be made: No module named 'nowhere'"),
        ({"callbacks": ["mine.Other"]}, "'mine.Other' cannot be made: module .* has no attribute 'Other'"),
        ({"callbacks": ["mine.Needs"]}, "'mine.Needs' cannot be made: .* missing 1 required positional argument"),
        ({"callbacks": ["mine.nothing"]}, "expected a callback of Lightning, 'mine.nothing' is none"),
        ({"devices": 2, "device": "cuda"}, "trainer: 'devices': this machine has 1 CUDA devices, got 2; use fewer"),
        ({"devices": 2, "device": "cuda:0"}, "--device cuda:0 is one device, but trainer: 'devices' is 2"),
        ({"devices": 2, "protocol": "text"}, "trainer: 'devices': training on text uses one device"),
        ({"accumulate_grad_batches": 2, "protocol": "text"}, "trainer: 'accumulate_grad_batches': training on text"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_trained(
    options: dict[str, Any], message: str, mine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    device, protocol = options.pop("device", "cpu"), options.pop("protocol", "image")
    training: Any = SimpleNamespace(recipe=Recipe(epochs=1), protocol=protocol)
    places = Places(Store(tmp_path / "store"), None, tmp_path, device, TrainerOptions.model_validate(options))
    with pytest.raises(InputError, match=message):
        check_trainer(training, places)


def test_mlflow_needs_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(InputError, match="mlflow logs where MLFLOW_TRACKING_URI says, which is not set"):
        check_loggers(["csv", "mlflow"])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    check_loggers(["csv", "mlflow", "wandb"])


@pytest.mark.parametrize(
    ("options", "device", "message"),
    [
        ({"accumulate_grad_batches": 2}, "cpu", "batch normalisation needs a whole batch at once"),
        ({"devices": 2}, "cpu", "batch normalisation over several devices needs GPUs"),
        ({"devices": 4}, "cuda", "needs as many images in each batch, and one of 99 images by 32 has 3"),
    ],
)
def test_batch_normalisation_sees_whole_batches(options: dict[str, int], device: str, message: str) -> None:
    recipe = Recipe.model_validate({"epochs": 1, "batch_size": 32, "trainer": options})
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    with pytest.raises(InputError, match=message):
        check_normalised(net, recipe, 99, lambda: torch.device(device))
    check_normalised(net, Recipe(epochs=1), 99, lambda: torch.device(device))
    check_normalised(net[0], recipe, 99, lambda: torch.device(device))
