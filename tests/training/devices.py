"""Train and collect statistics in two processes and in one, in float64; prints the largest difference of each case.

Usage: devices.py FOLDER. The second process is forked: it has what this one has imported.
"""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from vitmem.adapters.vision import VisionTask
from vitmem.bench.statistics import _shared
from vitmem.data.load import load_data
from vitmem.data.noisy import NoisyImages, add_noise
from vitmem.data.shares import Share
from vitmem.kfac import corrected, find_layers, fit
from vitmem.models.base import VisionModel
from vitmem.recipe import Recipe
from vitmem.registry import DATA, NOISES
from vitmem.training.early import KeepBest
from vitmem.training.fit import train
from vitmem.training.module import Classifier

RECIPE: dict[str, Any] = {"epochs": 4, "batch_size": 16, "lr": 1e-2, "warmup_epochs": 1, "crop": 1, "flip": True}
OPTIONS: dict[str, Any] = {"precision": "32", "curve_every": 2}
TIED = {"fixed": 0.5, "memory": 0.5}


class Mlp(nn.Module):
    """Its inputs and outputs are float64."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        parts = {"fc1": nn.Linear(64, 24), "act": nn.Tanh(), "fc2": nn.Linear(24, 16)}
        self.mlp, self.head = nn.Sequential(OrderedDict(parts)), nn.Linear(16, 10)
        self.double()

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.mlp(images.double().flatten(1)))


def loss(self: Classifier, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    if hasattr(self, "tied"):
        self.tied.choose(self.index[batch[2]])
    return functional.cross_entropy(self.net(batch[0]), batch[1])


def noisy(count: int, folder: Path) -> NoisyImages:
    data = load_data(DATA.get("digits").parse({}, "data"), None, folder, train=count, validation=50, seed=0)
    return add_noise(data, NOISES.get("symmetric").parse({"rate": 0.2}, "noise"), seed=0)


def trained(case: str, folder: Path, cache: Path, **options: Any) -> None:
    """Train as ``case`` says: on so many images, in so many parts, tied or with the best epoch kept, or killed once."""
    count, *words = case.split()
    recipe = {**RECIPE, **OPTIONS, "trainer": options, **({"example_tied": TIED} if "tied" in words else {})}
    model = VisionModel(Mlp(), blocks=("mlp",), layers=("fc1", "fc2"), positions="all")
    best = KeepBest(lambda: -abs(len(best.measured) - 1.5)) if "best" in words else None
    train(model, noisy(int(count), cache), Recipe.model_validate(recipe), 3, folder, best=best, device="cpu")


CASES: dict[str, dict[str, Any]] = {
    "101": {},
    "102 best": {},
    "101 tied": {},
    "64 limited": {"limit_train_batches": 3},
}
LAST_ALONE = "97"  # a last batch of one image


def whole(folder: Path) -> None:
    """Train all cases, the last one in one part, and collect statistics."""
    for case, options in CASES.items():
        trained(case, folder / case, folder.parent, **options)
    trained(LAST_ALONE, folder / LAST_ALONE, folder.parent)
    resumed(folder)
    statistics(folder)


def parted(folder: Path) -> None:
    """Train the last case in three parts a process."""
    trained(LAST_ALONE, folder / LAST_ALONE, folder.parent, accumulate_grad_batches=3)


def resumed(folder: Path) -> None:
    """Kill a training of two processes after its second checkpoint and go on."""
    save = ModelCheckpoint.on_train_epoch_end

    def dying(self: ModelCheckpoint, trainer: Any, module: Any) -> None:
        save(self, trainer, module)
        if trainer.current_epoch == 1:
            trainer.strategy.barrier()
            raise RuntimeError("killed")

    ModelCheckpoint.on_train_epoch_end = dying  # type: ignore[method-assign]
    try:
        trained("101 resumed", folder / "resumed", folder.parent)
        raise AssertionError("it is not killed")
    except RuntimeError as error:
        assert "killed" in str(error)
    finally:
        ModelCheckpoint.on_train_epoch_end = save  # type: ignore[method-assign]
    trained("101 resumed", folder / "resumed", folder.parent)


def statistics(folder: Path) -> None:
    """Collect statistics by sampled labels and by random signs, of seven batches, one rank with one more."""
    images = torch.randn(100, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    batches = list(zip(images.split(15), torch.zeros(100, dtype=torch.int64).split(15), strict=True))
    net, task = Mlp(), VisionTask(positions="all", prefix_tokens=0)
    layers = find_layers(net, ["mlp.*", "head"])
    for mode in ("sampled", "logit_jacobian"):
        given = list(_shared(batches, Share.here())) if Share.here().ranks > 1 else batches
        found = fit(net, layers, task, given, seed=5, labels=mode, label_samples=2, moments="coupled")
        found = corrected(net, layers, task, given, found)
        if Share.here().rank == 0:
            found.save(folder / f"{mode}.safetensors")


def compared(one: Path, other: Path) -> None:
    for path in sorted(path for path in other.rglob("*.safetensors")):
        first, second = load_file(one / path.relative_to(other)), load_file(path)
        assert first.keys() == second.keys()
        # eigenvectors are defined up to sign, of equal eigenvalues up to a rotation
        keys = [key for key in first if not key.endswith("_vectors")]
        largest = max(float((first[key].double() - second[key].double()).abs().max()) for key in keys)
        print(f"{other.name}/{path.relative_to(other)}: {largest}")
    for path in sorted(other.rglob("curves.csv")):
        lines = [file.read_text().splitlines() for file in (one / path.relative_to(other), path)]
        assert len(lines[0]) == len(lines[1]) > 2 and lines[0][0] == lines[1][0]
        numbers = [[float(x) for line in some[1:] for x in line.split(",")] for some in lines]
        largest = max(abs(a - b) for a, b in zip(*numbers, strict=True))
        print(f"{other.name}/{path.relative_to(other)}: {largest}")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    Classifier.loss = loss  # type: ignore[method-assign]
    for name in ("one", "parts", "two", "two_parts"):
        for case in (*CASES, LAST_ALONE, "resumed"):
            (folder / name / case).mkdir(parents=True)
    whole(folder / "one")
    parted(folder / "parts")
    child = os.fork()
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=0 if child else 1, world_size=2)
    whole(folder / "two")
    parted(folder / "two_parts")
    dist.destroy_process_group()
    if child:
        assert os.waitpid(child, 0)[1] == 0
        for name in ("parts", "two", "two_parts"):
            compared(folder / "one", folder / name)
