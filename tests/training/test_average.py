"""The average of the weights: against a recursion in float64, in the curves, and through a killed run."""

from __future__ import annotations

import copy
import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors.torch import load_file
from torch import Tensor, nn

from vitmem.data.noisy import NoisyImages
from vitmem.models.base import VisionModel
from vitmem.recipe import Recipe
from vitmem.training.average import AveragedWeights
from vitmem.training.early import KeepBest
from vitmem.training.fit import train
from vitmem.training.module import Learner

NewModel = Callable[[], VisionModel]
SGD = {"name": "sgd", "momentum": 0.9}
STEP = {"name": "step", "decay_t": 2, "decay_rate": 0.1}
RECIPE = Recipe(
    epochs=4, batch_size=48, lr=0.05, warmup_epochs=1, optimizer=SGD, scheduler=STEP, ema=0.9, curve_every=1, flip=True
)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Tensor]]:
    """The weights after each step."""
    found: list[dict[str, Tensor]] = []
    real = Learner.on_train_batch_end

    def kept(self: Learner, *args: Any) -> None:
        found.append({name: value.detach().double() for name, value in self.net.state_dict().items()})
        real(self, *args)

    monkeypatch.setattr(Learner, "on_train_batch_end", kept)
    return found


def averages(steps: list[dict[str, Tensor]], decay: float) -> list[dict[str, Tensor]]:
    found = [steps[0]]
    for weights in steps[1:]:
        found.append({name: decay * found[-1][name] + (1 - decay) * value for name, value in weights.items()})
    return found


def test_what_is_saved_is_the_recursion_in_float64(
    new_model: NewModel, noisy: NoisyImages, tmp_path: Path, steps: list[dict[str, Tensor]]
) -> None:
    train(new_model(), noisy, RECIPE, 5, tmp_path, device="cpu")
    assert len(steps) == 20  # 200 images in batches of 48
    saved, expected = load_file(tmp_path / "model.safetensors"), averages(steps, 0.9)[-1]
    assert saved.keys() == expected.keys()  # under their plain names
    for name, value in expected.items():
        assert saved[name].dtype == torch.float32
        assert torch.allclose(saved[name].double(), value, atol=1e-6), name
    assert max(float((saved[name] - steps[-1][name]).abs().max()) for name in saved) > 1e-3


def test_the_curves_measure_the_average(
    new_model: NewModel, noisy: NoisyImages, tmp_path: Path, steps: list[dict[str, Tensor]]
) -> None:
    recipe = RECIPE.model_copy(update={"precision": "32", "epochs": 2})
    train(new_model(), noisy, recipe, 5, tmp_path, device="cpu")
    lines = list(csv.DictReader((tmp_path / "curves.csv").open()))
    net = new_model().net.eval()
    images = noisy.data.validation.images.float() / 255
    images = (images - noisy.data.mean[:, None, None]) / noisy.data.std[:, None, None]
    labels = noisy.data.validation.labels
    found = {}
    for kind, some in (("average", averages(steps, 0.9)), ("last", steps)):
        for epoch in (0, 1):
            net.load_state_dict(some[5 * epoch + 4])
            with torch.no_grad():
                found[kind, epoch] = float((net(images).argmax(1) == labels).double().mean())
    assert [float(line["validation"]) for line in lines] == pytest.approx([found["average", e] for e in (0, 1)])
    assert [found["average", e] for e in (0, 1)] != pytest.approx([found["last", e] for e in (0, 1)])


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_killed_run_ends_with_the_same_averages(
    epoch: int, new_model: NewModel, noisy: NoisyImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = ModelCheckpoint.on_train_epoch_end

    def dying(self, trainer, pl_module):  # type: ignore[no-untyped-def]
        keep(self, trainer, pl_module)
        if trainer.current_epoch == epoch:
            raise RuntimeError("killed")

    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    train(new_model(), noisy, RECIPE, 5, tmp_path / "whole", device="cpu")
    with monkeypatch.context() as patch:
        patch.setattr(ModelCheckpoint, "on_train_epoch_end", dying)
        with pytest.raises(RuntimeError, match="killed"):
            train(new_model(), noisy, RECIPE, 5, tmp_path / "killed", device="cpu")
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    train(new_model(), noisy, RECIPE, 5, tmp_path / "killed", device="cpu")
    whole, killed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert whole.keys() == killed.keys() and all(torch.equal(whole[name], killed[name]) for name in whole)
    assert (tmp_path / "whole" / "curves.csv").read_text() == (tmp_path / "killed" / "curves.csv").read_text()


def test_early_stopping_measures_and_keeps_averages(
    new_model: NewModel, noisy: NoisyImages, tmp_path: Path, steps: list[dict[str, Tensor]]
) -> None:
    model, seen = new_model(), []

    def measure() -> float:
        seen.append({name: value.detach().double() for name, value in model.net.state_dict().items()})
        return float(len(seen) == 2)

    train(model, noisy, RECIPE, 5, tmp_path, best=KeepBest(measure), device="cpu")
    expected = averages(steps, 0.9)
    left = load_file(tmp_path / "model.safetensors")
    for name, value in left.items():
        assert torch.allclose(seen[3][name], expected[19][name], atol=1e-6)
        assert torch.equal(value.double(), seen[1][name]) and torch.allclose(
            seen[1][name], expected[9][name], atol=1e-6
        )


def test_integers_are_copied_and_shared_weights_averaged_once() -> None:
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    net[2].weight = net[1].weight
    net.register_buffer("place", torch.tensor([7, 11]))
    average = AveragedWeights(net, 0.75)
    weights, means = [], []
    for _ in range(4):
        net(torch.randn(8, 3))
        with torch.no_grad():
            net[1].weight += torch.randn(3, 3)
        weights.append(net[1].weight.detach().clone())
        means.append(net[0].running_mean.clone())
        average.update_parameters(net)
    before = copy.deepcopy(net.state_dict())
    average.swap(net)
    for found, values in ((net[1].weight, weights), (net[0].running_mean, means)):
        expected = values[0]
        for value in values[1:]:
            expected = 0.75 * expected + 0.25 * value
        assert torch.allclose(found, expected, atol=1e-6)
    assert net[2].weight is net[1].weight
    assert net.place.tolist() == [7, 11] and int(net[0].num_batches_tracked) == 4
    average.swap(net)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(p.requires_grad for p in average.parameters())


def test_example_tied_weights_are_averaged_before_they_are_scaled(
    new_model: NewModel, noisy: NoisyImages, tmp_path: Path, steps: list[dict[str, Tensor]]
) -> None:
    recipe = RECIPE.model_copy(update={"example_tied": Recipe(epochs=1, example_tied={"blocks": "last"}).example_tied})
    train(new_model(), noisy, recipe, 5, tmp_path, device="cpu")
    saved, expected = load_file(tmp_path / "model.safetensors"), averages(steps, 0.9)[-1]
    name = "blocks.1.mlp.fc2.weight"
    fixed = round(0.2 * expected[name].shape[1])
    gains = torch.where(torch.arange(expected[name].shape[1]) < fixed, 1.0, 0.1)
    assert torch.allclose(saved[name].double(), expected[name] * gains, atol=1e-6)
    assert torch.allclose(saved["head.weight"].double(), expected["head.weight"], atol=1e-6)
