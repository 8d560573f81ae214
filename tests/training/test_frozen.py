"""A frozen trunk stays as it was to the bit, running statistics included, and the classifier learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import rows_path, run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.bench.suite_checks import remarks
from vitmem.data.noisy import NoisyImages
from vitmem.errors import InputError
from vitmem.models.base import ImageShape, VisionModel
from vitmem.protocols.image import image_experiment
from vitmem.recipe import Recipe
from vitmem.registry import MODELS
from vitmem.rows import read_rows
from vitmem.training.early import KeepBest
from vitmem.training.fit import train
from vitmem.training.predict import predict

SUITE: dict[str, Any] = {
    "name": "frozen",
    "seeds": [0],
    "data": {"name": "digits", "train": 80, "validation": 40},
    "noise": {"name": "symmetric", "rate": 0.2},
    "model": {"name": "timm/test_resnet", "weights": "w.safetensors"},
    "recipe": {"epochs": 1, "batch_size": 40, "lr": 0.01, "warmup_epochs": 0, "precision": "32", "freeze": "trunk"},
    "oracles": ["early_stopped"],
    "edits": [{"method": "none"}, {"method": "kfac", "blocks": "last", "fraction": 0.05}],
}


class Trunk(nn.Module):
    """A convolution with batch normalisation and dropout below a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.1)
        self.head = nn.Linear(4, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.drop(self.norm(self.conv(images)).relu()).mean((2, 3)))
        return logits


def test_only_the_named_parameters_are_trained(noisy: NoisyImages, tmp_path: Path) -> None:
    net = Trunk()
    net.conv.bias.requires_grad_(False)  # frozen by the user before, and after
    before = {name: value.clone() for name, value in net.state_dict().items()}
    recipe = Recipe(epochs=2, batch_size=48, lr=0.01, precision="32", curve_every=1)

    def measured() -> float:  # between the epochs, as the oracle does
        return float(predict(net, noisy.data.train.images, noisy.data.mean, noisy.data.std, "cpu").mean())

    only = ["head.weight", "head.bias"]
    train(
        VisionModel(net, ("conv",), ("",)), noisy, recipe, 0, tmp_path, best=KeepBest(measured), only=only, device="cpu"
    )
    after = load_file(tmp_path / "model.safetensors")
    assert {name for name, value in before.items() if not torch.equal(value, after[name])} == {*only}
    assert [name for name, p in net.named_parameters() if not p.requires_grad] == ["conv.bias"]
    train(VisionModel(net, ("conv",), ("",)), noisy, recipe, 0, tmp_path / "all", device="cpu")
    after = load_file(tmp_path / "all" / "model.safetensors")
    assert {name for name, value in before.items() if torch.equal(value, after[name])} == {"conv.bias"}


def planned(folder: Path, **changes: Any) -> Any:
    suite = {key: value for key, value in {**SUITE, **changes}.items() if value is not None}
    (path := folder / "frozen.yaml").write_text(yaml.safe_dump(suite))
    return make_plan(load_suite(path), path, folder)


@pytest.mark.filterwarnings("error:Found:UserWarning")
def test_a_suite_of_a_frozen_trunk(tmp_path: Path) -> None:
    state = timm.create_model("test_resnet", num_classes=7, in_chans=1).state_dict()
    draw = torch.Generator().manual_seed(0)
    for name in [name for name in state if name.endswith(("bn1.weight", "bn2.weight", "bn3.weight"))]:
        state[name] += torch.rand(state[name].shape, generator=draw)  # the last scale of a block begins at zero
    save_file(state, tmp_path / "w.safetensors")
    plan = planned(tmp_path)
    assert remarks(plan.cells) == []
    places = Places(Store(tmp_path / "store"), tmp_path, tmp_path / "cache", "cpu")
    assert run_suite(plan, places, tmp_path / "results").failed == 0
    for id in {cell.training.id for cell in plan.cells}:
        left = load_file(tmp_path / "store" / "training" / id / "model.safetensors")
        assert all(torch.equal(left[name], value) for name, value in state.items() if not name.startswith("fc."))
        assert left["fc.weight"].shape[0] == 10
    rows = read_rows(rows_path(tmp_path / "results", "frozen"))
    changes = [row["edit"]["relative_change"] for row in rows if row["config"]["edit"]["method"] == "kfac"]
    assert len(rows) == 3 and changes[0] > 0.1  # statistics and edits reach what was frozen


def test_a_trunk_drawn_at_random_is_remarked_on(tmp_path: Path) -> None:
    (told,) = remarks(planned(tmp_path, model={"name": "timm/test_resnet"}).cells)
    assert "the frozen trunk of timm/test_resnet keeps its random initial weights" in told
    assert remarks(planned(tmp_path, model={"name": "timm/test_resnet", "pretrained": True}).cells) == []


def test_where_there_is_nothing_to_freeze(tmp_path: Path) -> None:
    text = {"data": {"name": "spectrum"}, "noise": None, "model": {"name": "llama"}, "oracles": None}
    with pytest.raises(InputError, match="'freeze' is for networks that read images"):
        planned(tmp_path, **text)
    with pytest.raises(InputError, match="'freeze' leaves as it is; take one"):
        planned(tmp_path, recipe={"epochs": 1, "freeze": "trunk", "example_tied": {}})

    @MODELS.register("no_classifier")
    def no_classifier(shape: ImageShape) -> VisionModel:
        """A network whose output has no weights of its own."""
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Sequential(nn.GELU()), nn.AdaptiveAvgPool1d(10))
        return VisionModel(net, ("1",), ("",))

    try:
        plan = planned(tmp_path, model={"name": "no_classifier"})
        with pytest.raises(InputError, match="no layer of model 'no_classifier' has the number of classes"):
            image_experiment(plan.cells[0].training, Places(Store(tmp_path / "store"), None, tmp_path / "cache", "cpu"))
    finally:
        MODELS.discard("no_classifier")
