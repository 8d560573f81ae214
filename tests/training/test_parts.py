"""Parameter groups, the schedule, curves and prediction, each against its definition."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from safetensors.torch import load_file
from torch import nn

from vitmem.data.module import NoisyImagesModule
from vitmem.data.noisy import NoisyImages
from vitmem.models.base import VisionModel
from vitmem.recipe import Recipe
from vitmem.training.curves import Curves
from vitmem.training.module import Classifier
from vitmem.training.optim import optimizer
from vitmem.training.predict import predict
from vitmem.training.schedule import schedule


def test_norms_and_biases_do_not_decay() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2, bias=False))
    decayed, others = optimizer(net, Recipe(epochs=1, weight_decay=0.3)).param_groups
    assert decayed["weight_decay"] == 0.3
    assert [id(p) for p in decayed["params"]] == [id(net[0].weight), id(net[2].weight)]
    assert others["weight_decay"] == 0 and len(others["params"]) == 3


@pytest.mark.parametrize("min_lr", [0.0, 0.1])
def test_warm_up_and_cosine(min_lr: float) -> None:
    recipe = Recipe(epochs=4, lr=2.0, min_lr=min_lr, warmup_epochs=0.5)
    chosen = optimizer(nn.Linear(2, 2), recipe)
    by_step = schedule(chosen, recipe, total_steps=40, steps_per_epoch=10)
    rates = []
    for _ in range(40):
        rates.append(chosen.param_groups[0]["lr"])
        chosen.step()
        by_step.step()
    assert rates[:5] == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0])
    cosine = [min_lr + (1 - min_lr) * (1 + math.cos(math.pi * k / 35)) / 2 for k in range(35)]
    assert rates[5:] == pytest.approx([2 * c for c in cosine])
    assert chosen.param_groups[0]["lr"] == pytest.approx(2 * min_lr)


def test_a_warm_up_longer_than_the_training() -> None:
    recipe = Recipe(steps=4, lr=1.0, warmup_epochs=5)
    chosen = optimizer(nn.Linear(2, 2), recipe)
    by_step = schedule(chosen, recipe, total_steps=4, steps_per_epoch=10)
    rates = []
    for _ in range(4):
        rates.append(chosen.param_groups[0]["lr"])
        chosen.step()
        by_step.step()
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0])


class Oracle(nn.Module):
    """Knows the right answer of every image by its pixels, and nothing else."""

    def __init__(self, answers: dict[bytes, int]) -> None:
        super().__init__()
        self.answers = answers
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        classes = [self.answers[image.numpy().tobytes()] for image in images]
        return nn.functional.one_hot(torch.tensor(classes), 10).float()


def normalised(noisy: NoisyImages, images: torch.Tensor) -> torch.Tensor:
    return predict(nn.Identity(), images, noisy.data.mean, noisy.data.std, "cpu")


class Seen(Callback):
    """Keeps what the steps of a validation return."""

    def __init__(self) -> None:
        self.outputs: list[dict[str, torch.Tensor]] = []

    def on_validation_batch_end(self, trainer: Trainer, pl_module: object, outputs: object, *_: object) -> None:  # type: ignore[override]
        if outputs is not None:
            self.outputs.append(outputs)  # type: ignore[arg-type]


def measured(module: Classifier, data: NoisyImagesModule) -> tuple[dict[str, float], torch.Tensor, torch.Tensor]:
    """Return the shares of one validation, the rows (n,) that it looks at and the hits (n,)."""
    seen = Seen()
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, callbacks=[seen]
    )
    trainer.validate(module, data, verbose=False)
    shares = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return shares, *(torch.cat([output[name] for output in seen.outputs]) for name in ("rows", "hits"))


def test_curves_measure_shares(noisy: NoisyImages) -> None:
    train, validation = noisy.data.train, noisy.data.validation
    answers: dict[bytes, int] = {}
    wrong = torch.nonzero(noisy.noisy).flatten().tolist()
    reciting = set(wrong[: len(wrong) // 4])
    for n, image in enumerate(normalised(noisy, train.images)):
        answers[image.numpy().tobytes()] = int(noisy.given[n] if n in reciting else noisy.true[n])
    for n, image in enumerate(normalised(noisy, validation.images)):
        answers[image.numpy().tobytes()] = (int(validation.labels[n]) + (n >= 30)) % 10
    module = Classifier(Oracle(answers), Recipe(epochs=1), 1, 1, 0)
    shares, rows, hits = measured(module, NoisyImagesModule(noisy, batch_size=48, seed=0))
    assert list(shares) == list(module.shares)
    assert shares == {
        "memorized": len(reciting) / len(wrong),
        "recovered": (len(wrong) - len(reciting)) / len(wrong),
        "clean_train": 1.0,
        "validation": 30 / 50,
    }
    given = set(rows[hits].tolist())  # the recited ones, and all clean ones
    assert given == reciting | set(torch.nonzero(~noisy.noisy).flatten().tolist())


def test_a_share_of_nothing_is_left_out(noisy: NoisyImages) -> None:
    answers = dict.fromkeys((image.numpy().tobytes() for image in normalised(noisy, noisy.data.train.images)), 0)
    held = noisy.data.validation.take(torch.arange(0))
    part = replace(noisy, data=replace(noisy.data, validation=held)).with_true_labels()
    data = NoisyImagesModule(part, batch_size=48, seed=0)
    shares, rows, _ = measured(Classifier(Oracle(answers), Recipe(epochs=1), 1, 1, 0), data)
    assert shares == {"clean_train": int((noisy.true == 0).sum()) / 200} and len(rows) == 200


def test_curves_go_on_from_a_checkpoint_and_are_written_from_it_alone(noisy: NoisyImages, tmp_path: Path) -> None:
    curves, rows = Curves(tmp_path / "curves.csv"), torch.tensor([4, 7])
    told = {1: [True, False], 2: [True, True], 3: [False, True]}

    def add(to: Curves, epoch: int) -> None:
        to.lines.append({"epoch": epoch, "train_loss": epoch / 2})
        to._keep(epoch, rows, torch.tensor(told[epoch]))
        to._write()

    for epoch in (1, 2):
        add(curves, epoch)
    state = copy.deepcopy(curves.state_dict())
    add(curves, 3)
    resumed = Curves(tmp_path / "curves.csv")
    for damaged in ("curves.csv", "learned.safetensors"):  # what a killed run left of them is not read
        (tmp_path / damaged).write_text("epoch,train_l")
    resumed.load_state_dict(state)
    assert (tmp_path / "curves.csv").read_text().splitlines()[1:] == ["1,0.5", "2,1.0"]
    add(resumed, 3)
    lines = curves.path.read_text().splitlines()
    assert [line.split(",")[:2] for line in lines[1:]] == [["1", "0.5"], ["2", "1.0"], ["3", "1.5"]]
    kept = load_file(tmp_path / "learned.safetensors")
    assert kept["rows"].tolist() == [4, 7] and kept["epochs"].tolist() == [1, 2, 3]
    assert kept["hits"].tolist() == list(told.values())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.csv", "learned.safetensors"]


def test_prediction_is_in_order_and_leaves_the_mode(new_model: Callable[[], VisionModel], noisy: NoisyImages) -> None:
    net, data = new_model().net.train(), noisy.data
    logits = predict(net, data.train.images, data.mean, data.std, "cpu", batch_size=64)
    assert net.training and logits.dtype == torch.float32
    pixels = (data.train.images.double() / 255 - data.mean[:, None, None]) / data.std[:, None, None]
    with torch.no_grad():
        expected = net.double().eval()(pixels)
    assert torch.allclose(logits.double(), expected, atol=1e-4)
    rounded = predict(net.float(), data.train.images, data.mean, data.std, "cpu", "bf16")
    assert 0 < float((rounded - logits).abs().max()) < 0.2
