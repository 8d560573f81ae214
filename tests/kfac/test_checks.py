"""What a caller of ``fit`` gets wrong is one sentence."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vitmem.adapters.vision import VisionTask
from vitmem.errors import InputError
from vitmem.kfac import find_layers, fit
from vitmem.language.task import LanguageTask

IMAGES, LABELS = torch.zeros(4, 1, 2, 2), torch.zeros(4, dtype=torch.int64)


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


def collect(net: nn.Module, batch: Any = (IMAGES, LABELS), layers: Any = None, **options: Any) -> Any:
    layers = find_layers(net, ["1"]) if layers is None else layers
    return fit(net, layers, options.pop("task", VisionTask("all", 0)), [batch], seed=0, **options)


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        (["3"], "layers: expected path -> module, got a list; find_layers(model, patterns) returns them"),
        ("3", "expected path -> module, got a str"),
        ({}, "expected at least one layer, got none"),
        ({"3": "3"}, "'3': expected a linear layer or a convolution of one group, got str"),
        ({"2": nn.ReLU()}, "'2': expected a linear layer or a convolution of one group, got ReLU"),
        ({"9": nn.Linear(6, 3)}, "'9' is not the path of this layer in the model"),
        ({"1": nn.Linear(4, 6)}, "'1' is not the path of this layer in the model"),
    ],
)
def test_layers(layers: Any, says: str) -> None:
    with pytest.raises(InputError) as error:
        collect(network(), layers=layers)
    assert says in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("batch", "says"),
    [
        (IMAGES, "expected (images, labels), got a Tensor; zeros suffice as labels"),
        ((IMAGES,), "expected (images, labels), got 1 values"),
        ({"image": IMAGES}, "expected (images, labels), got a dict"),
        ((IMAGES, None), "expected class numbers (N,) int64, one per row of the logits, got a NoneType"),
        (
            (IMAGES, torch.full((4, 3), 1 / 3)),
            "torch.float32 of (4, 3); soft labels are not read, give labels.argmax(1)",
        ),
        ((IMAGES, torch.zeros(4)), "got torch.float32 of (4,)"),
        ((IMAGES, LABELS[:3]), "expected 4 given labels, one per row of the logits, got 3"),
        ((IMAGES, LABELS + 3), "expected classes 0 to 2, or -100 for none, got 3"),
        ((IMAGES, LABELS - 2), "expected classes 0 to 2, or -100 for none, got -2"),
    ],
)
def test_batches(batch: Any, says: str) -> None:
    with pytest.raises(InputError) as error:
        collect(network(), batch, labels="given")
    assert says in str(error.value) and "\n" not in str(error.value)


def test_no_gradients_are_recorded() -> None:
    net = network()
    with torch.inference_mode(), pytest.raises(InputError, match=r"torch\.inference_mode\(\) records no gradients"):
        collect(net)
    with torch.inference_mode():
        made = network()
    with pytest.raises(InputError, match=r"'1\.weight' was made under torch\.inference_mode"):
        collect(made)
    with torch.no_grad():
        assert collect(net).layers["1"].count == 4


class Other(nn.Module):
    """A network that returns something else than logits (B, K)."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.inner, self.kind = network(), kind

    def forward(self, images: Tensor) -> Any:
        logits = self.inner(images)
        return {"tuple": (logits, images), "dict": {"logits": logits}, "maps": logits[:, :, None]}[self.kind]


@pytest.mark.parametrize(("kind", "says"), [("tuple", "a tuple"), ("dict", "a dict"), ("maps", "(4, 3, 1)")])
def test_no_logits(kind: str, says: str) -> None:
    net = Other(kind)
    with pytest.raises(InputError, match="expected logits") as error:
        collect(net, layers=find_layers(net, ["inner.1"]))
    assert says in str(error.value)


def test_a_batch_of_text_without_tokens() -> None:
    with pytest.raises(InputError, match="expected a mapping with 'input_ids', got a tuple"):
        collect(network(), task=LanguageTask())
