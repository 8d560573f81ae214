"""A network reads images as its suite says, held against the transforms of timm and torchvision, an image at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file
from timm.data import create_transform
from torch import Tensor
from torchvision.transforms import v2

from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.errors import InputError
from vitmem.protocols.image import ImageExperiment, image_experiment

SIZE = 32
GIVEN = {"mean": [0.2, 0.5, 0.7], "std": [0.3, 0.25, 1.0]}
SUITE: dict[str, Any] = {
    "name": "reads",
    "seeds": [0],
    "data": {"name": "image_folder", "folder": "pictures", "size": SIZE},
    "noise": {"name": "none"},
    "edits": [{"method": "none"}],
}


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., ImageExperiment]:
    """A function that opens timm's test_vit with given weights, on eight images of noise in two classes."""
    draw = np.random.default_rng(0)
    for name in ("train/a/0", "train/a/1", "train/b/0", "train/b/1", "val/a/0", "val/a/1", "val/b/0", "val/b/1"):
        file = tmp_path / "pictures" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)).save(file)

    def experiment(size: int = SIZE, **model: Any) -> ImageExperiment:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = timm.create_model("test_vit", num_classes=2, img_size=size)
        save_file(net.state_dict(), tmp_path / "net.safetensors")
        suite = {**SUITE, "model": {"name": "timm/test_vit", "trained": "net.safetensors", **model}}
        (path := tmp_path / "reads.yaml").write_text(yaml.safe_dump(suite))
        plan = make_plan(load_suite(path), path, tmp_path)
        places = Places(Store(tmp_path / "store"), tmp_path, tmp_path / "cache", "cpu")
        return image_experiment(plan.cells[0].training, places)

    return experiment


def by_hand(experiment: ImageExperiment, folder: Path, transform: Callable[[Any], Tensor]) -> Tensor:
    """Return the logits (4, 2) of the training images, each read from its file through ``transform``."""
    files = sorted((folder / "pictures" / "train").rglob("*.png"))
    with torch.no_grad():
        return torch.stack([experiment.net.eval()(transform(Image.open(file))[None])[0] for file in files])


@pytest.mark.parametrize(
    ("wanted", "mean", "std"),
    [
        ("imagenet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("published", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        (GIVEN, GIVEN["mean"], GIVEN["std"]),
    ],
    ids=["imagenet", "published", "given"],
)
def test_predictions_are_those_through_the_transforms_of_timm(
    wanted: Any, mean: Any, std: Any, opened: Callable[..., ImageExperiment], tmp_path: Path
) -> None:
    experiment = opened(normalisation=wanted)
    chain = create_transform((3, SIZE, SIZE), mean=mean, std=std, crop_pct=1.0, interpolation="bilinear")
    expected = by_hand(experiment, tmp_path, chain)
    assert torch.allclose(experiment.predict({})["logits"].float(), expected, atol=2e-3)
    other = by_hand(experiment, tmp_path, create_transform((3, SIZE, SIZE), mean=(0.1,) * 3, std=(1.0,) * 3))
    assert not torch.allclose(other, expected, atol=2e-2)


def test_images_are_rescaled_to_the_size_of_the_network(opened: Callable[..., ImageExperiment], tmp_path: Path) -> None:
    experiment = opened(48, image_size=48, normalisation="published")
    halves = [0.5, 0.5, 0.5]
    chain = v2.Compose(
        [
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Resize(48, antialias=True),
            v2.Normalize(halves, halves),
        ]
    )
    experiment.net.eval()
    hooks = experiment.net._forward_pre_hooks.copy()
    found = experiment.predict({})["logits"].float()
    experiment.net._forward_pre_hooks.clear()  # the images of the chain have the size already
    assert len(hooks) == 1 and torch.allclose(found, by_hand(experiment, tmp_path, chain), atol=2e-3)


def test_the_channel_statistics_of_the_data_are_the_default(opened: Callable[..., ImageExperiment]) -> None:
    default, named, other = opened(), opened(normalisation="data"), opened(normalisation="imagenet")
    assert torch.equal(default.noisy.data.mean, named.noisy.data.mean)
    assert torch.equal(default.predict({})["logits"], named.predict({})["logits"])
    assert not torch.equal(default.noisy.data.mean, other.noisy.data.mean)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            {"normalisation": {"mean": [0.5], "std": [0.5]}},
            "expected 3 numbers, one for each channel of the images, got 1",
        ),
        ({"normalisation": {"mean": [0.5], "std": [0.5, 0.5]}}, "as many numbers in 'mean' as in 'std', got 1 and 2"),
        ({"normalisation": {"mean": [127, 127, 127], "std": [0.5] * 3}}, "less than or equal to 1, got 127"),
        ({"normalisation": {"mean": [0.5] * 3, "std": [0] * 3}}, "greater than 0, got 0"),
        ({"normalisation": {"mean": [0.5] * 3, "sdt": [0.5] * 3}}, "sdt"),
        ({"normalisation": "imagnet"}, "'imagenet', 'published' or 'data'"),
        ({"name": "vit", "normalisation": "published", "trained": None}, "it is of no library"),
    ],
)
def test_what_is_no_normalisation(
    model: dict[str, Any], says: str, opened: Callable[..., ImageExperiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    if model.get("name") == "vit":
        monkeypatch.setitem(SUITE, "recipe", {"epochs": 1})
    with pytest.raises(InputError, match="normalisation") as error:
        opened(**model)
    assert says in str(error.value) and "\n" not in str(error.value)
