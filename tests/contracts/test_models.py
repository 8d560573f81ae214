"""The contract of model plug-ins: kept by every registered model, and noticed when it is broken."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from vitmem.contracts.model import CLAUSES, check_model
from vitmem.errors import InputError
from vitmem.models.base import ImageShape, VisionModel
from vitmem.registry import MODELS

BUILT_IN = [entry.name for entry in MODELS.entries() if not (entry.family or entry.trained)]
TIMM = ["timm/vit_tiny_patch16_224", "timm/test_convnext", "timm/test_resnet"]


@pytest.fixture
def register() -> Iterator[Callable[[Callable[..., object]], str]]:
    """Register a plug-in for the length of a test; its name is returned."""
    names = []

    def add(function: Callable[..., object]) -> str:
        MODELS.register(function.__name__, summary="for this test")(function)
        names.append(function.__name__)
        return function.__name__

    yield add
    for name in names:
        MODELS.discard(name)


@pytest.mark.parametrize("name", [*BUILT_IN, *TIMM])
def test_the_contract_is_kept(name: str) -> None:
    checks = check_model(name, {})
    assert [check.name for check in checks] == ["build", *CLAUSES]
    assert [check for check in checks if not check.ok] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["timm/swin_tiny_patch4_window7_224", "torchvision/swin_t"])
def test_the_contract_is_kept_by_a_swin(name: str) -> None:
    checks = check_model(name, {})
    assert [check for check in checks if not check.ok] == [] and len(checks) == 1 + len(CLAUSES)


def test_a_vit_without_a_class_token_keeps_it() -> None:
    checks = check_model("vit", {"pool": "mean", "width": 24, "depth": 2, "dropout": 0.1})
    assert [check for check in checks if not check.ok] == []


def test_a_plug_in_of_ten_lines_keeps_it(register: Callable[..., str]) -> None:
    def ten_lines(shape: ImageShape, *, width: int = 16) -> VisionModel:
        block = nn.Sequential(nn.Linear(shape.channels * shape.size**2, width), nn.GELU())
        net = nn.Sequential(nn.Flatten(), block, nn.Linear(width, shape.num_classes))
        return VisionModel(net, blocks=("1",), layers=("0",))

    checks = check_model(register(ten_lines), {"width": 8})
    assert [check for check in checks if not check.ok] == []


class Net(nn.Module):
    """A network that breaks one clause."""

    def __init__(self, shape: ImageShape, fault: str) -> None:
        super().__init__()
        self.fault = fault
        pixels = shape.channels * shape.size**2
        self.block = nn.ModuleDict({"used": nn.Linear(pixels, 8), "idle": nn.Linear(8, 8)})
        self.head = nn.Linear(8, shape.num_classes + (fault == "forward shape"))
        self.calls = 0
        if fault == "weights come from the seed":
            for parameter in self.parameters():
                nn.init.constant_(parameter, 0.1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.block["used"](images.flatten(1)).tanh()
        if self.fault == "statistics do not depend on batch size":
            x = x - x.mean(0)
        if self.fault == "edit then undo is bit-exact":  # a network with a memory
            self.calls += 1
            x = x * (1 + self.calls)
        if self.fault != "gradients reach every editable layer":
            x = x + self.block["idle"](x)
        logits: Tensor = self.head(x)
        return logits


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        ("forward shape", r"expected logits \(12, 10\), got \(12, 11\)"),
        ("weights come from the seed", "the seed is not used"),
        ("patterns match", r"layer pattern 'block\.idel' matches nothing, .* did you mean 'block\.idle'"),
        ("gradients reach every editable layer", "no gradient reaches layer 'block.idle'"),
        ("positions", "prefix_tokens is 0"),
        ("statistics do not depend on batch size", "differs by .* between batch sizes"),
        ("edit then undo is bit-exact", "logits differ after the edit is undone"),
    ],
)
def test_a_broken_clause_is_named(fault: str, detail: str, register: Callable[..., str]) -> None:
    def faulty(shape: ImageShape) -> VisionModel:
        layers = ("used", "idel" if fault == "patterns match" else "idle")
        positions = "cls" if fault == "positions" else "all"
        return VisionModel(Net(shape, fault), ("block",), layers, positions=positions)  # type: ignore[arg-type]

    broken = {check.name: check.detail for check in check_model(register(faulty), {}) if not check.ok}
    assert fault in broken
    assert torch.is_grad_enabled()
    assert re.search(detail, broken[fault]), broken[fault]


def test_a_network_that_cannot_be_built(register: Callable[..., str]) -> None:
    def raising(shape: ImageShape) -> VisionModel:
        raise ZeroDivisionError("half a head")

    (check,) = check_model(register(raising), {})
    assert (check.name, check.ok, check.detail) == ("build", False, "ZeroDivisionError: half a head")


def test_unknown_names_and_parameters() -> None:
    with pytest.raises(InputError, match="did you mean 'mixer'"):
        check_model("mixr", {})
    with pytest.raises(InputError, match="did you mean 'width'"):
        check_model("mixer", {"widht": 3})
