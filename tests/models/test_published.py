"""Published weights of torchvision: fetched as its own enum says, checked, and read with their normalisation."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor
from torchvision.transforms import v2

from vitmem.errors import InputError
from vitmem.models.base import ImageShape, VisionModel, build
from vitmem.registry import MODELS

NAME = "squeezenet1_1"


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """The weights behind the address of torchvision's enum, which leads to a file here."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        state = torchvision.models.get_model(NAME, weights=None).state_dict()
    torch.save(state, file := tmp_path / "net.pth")
    file = file.rename(tmp_path / f"net-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}.pth")
    weights = torchvision.models.get_model_weights(NAME).DEFAULT
    monkeypatch.setattr(weights.value, "url", file.as_uri())
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return state


def make(classes: int, size: int = 32, **params: object) -> VisionModel:
    entry = MODELS.get("torchvision").parse({"pretrained": True, **params}, "model")
    return build(entry, ImageShape(3, size, classes), 0, NAME)


@pytest.mark.parametrize("classes", [1000, 10])
def test_published_weights_with_the_classifier_where_it_fits(classes: int, published: dict[str, Tensor]) -> None:
    model = make(classes)
    found = model.net.state_dict()
    same = {name for name, value in published.items() if torch.equal(found[name], value)}
    assert set(published) - same == (set() if classes == 1000 else {"classifier.1.weight", "classifier.1.bias"})
    images = torchvision.models.get_model_weights(NAME).DEFAULT.transforms()
    assert model.reads is not None
    assert (model.reads.mean, model.reads.std) == (tuple(images.mean), tuple(images.std))


def test_images_are_rescaled(published: dict[str, Tensor]) -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    larger = v2.Resize(64, antialias=True)(images)
    small, large = make(1000, 32, image_size=64).net.eval(), make(1000, 64).net.eval()
    with torch.no_grad():
        assert torch.allclose(small(images), large(larger), atol=1e-4)
        assert not torch.allclose(small(images), large(images), atol=1e-2)


def test_another_content_than_was_published_is_refused(
    published: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = torchvision.models.get_model_weights(NAME).DEFAULT
    (tmp_path / "net-00000000.pth").write_bytes((tmp_path / Path(weights.url).name).read_bytes())
    monkeypatch.setattr(weights.value, "url", (tmp_path / "net-00000000.pth").as_uri())
    with pytest.raises(InputError, match=r"its published weights cannot be read from .* invalid hash value"):
        make(10)
    monkeypatch.setattr(weights.value, "url", (tmp_path / "nowhere-00000000.pth").as_uri())
    with pytest.raises(InputError, match="give a file of your own as 'weights'"):
        make(10)
