"""Blocks and layers found in architectures of timm and torchvision are those that were read against their depths."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from vitmem.errors import InputError
from vitmem.kfac import find_layers
from vitmem.models.base import ImageShape, VisionModel, architecture_of, build
from vitmem.registry import MODELS

FOLDER = Path(__file__).parent
spec = importlib.util.spec_from_file_location("architectures", FOLDER / "architectures.py")
assert spec is not None and spec.loader is not None
architectures = importlib.util.module_from_spec(spec)
spec.loader.exec_module(architectures)
KNOWN = dict(line.split(": ", 1) for line in (FOLDER / "architectures.txt").read_text().splitlines())
# The depth that each one's configuration gives.
DEPTHS = {
    "timm/vit_relpos_small_patch16_224": 12,
    "timm/maxvit_rmlp_pico_rw_256": 2 + 2 + 5 + 2,
    "timm/vit_base_patch16_siglip_224": 12,
    "timm/levit_128s": 2 + 3 + 4,
    "timm/coatnet_nano_rw_224": 3 + 4 + 6 + 3,
    "timm/efficientnet_b0": 1 + 2 + 2 + 3 + 3 + 4 + 1,
    "timm/davit_tiny": 2 * (1 + 1 + 3 + 1),
    "timm/hiera_tiny_224": 1 + 2 + 7 + 2,
    "torchvision/regnet_y_400mf": 1 + 3 + 6 + 6,
    "torchvision/vgg11": 8,
}


def made(name: str, size: int = 32, **params: Any) -> VisionModel:
    return build(MODELS.get(name).parse(params, "model"), ImageShape(3, size, 5), 0, architecture_of(name))


def test_many_are_known() -> None:
    counts = [sum(name.startswith(f"{library}/") for name in KNOWN) for library in ("timm", "torchvision")]
    assert counts[0] >= 60 and counts[1] >= 12
    assert {name: int(KNOWN[name].split()[0]) for name in DEPTHS} == DEPTHS


@pytest.mark.parametrize("name", KNOWN)
def test_blocks_and_layers(name: str) -> None:
    assert architectures.summary(name) == KNOWN[name]


@pytest.mark.parametrize(
    "name", ["timm/test_efficientnet", "timm/test_convnext", "timm/test_vit", "torchvision/mobilenet_v3_small"]
)
def test_blocks_are_in_the_order_of_the_pass(name: str) -> None:
    model = made(name, 64)
    order: list[str] = []
    for path in model.blocks:
        model.net.get_submodule(path).register_forward_pre_hook(lambda _block, _args, path=path: order.append(path))
    assert model.net.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 5)
    assert tuple(order) == model.blocks


def test_blocks_that_are_not_alike_have_layers_of_their_own() -> None:
    model = made("timm/test_efficientnet", 64)
    assert model.layers_of is not None and len(set(model.layers_of)) > 1
    for number, block in enumerate(model.blocks):
        expected = [f"{block}.{layer}" for layer in model.layers_of[number]]
        assert model.editable(number) == expected == list(find_layers(model.net, expected))


def test_a_block_may_be_a_layer() -> None:
    model = made("torchvision/vgg11", 32)
    assert model.editable("last_two") == ["features.16", "features.18"]
    assert list(find_layers(model.net, model.editable("last"))) == ["features.18"]


def test_small_maps_hide_no_gate() -> None:
    """At 32 pixels the last maps have one place, and squeeze and excitation looks like a convolution."""
    model = made("timm/seresnet50", 32)
    assert model.layers == ("conv1", "conv2", "conv3") and len(model.blocks) == 16


def test_a_class_token_that_comes_late_is_none_of_the_positions() -> None:
    """In CaiT the blocks see patches alone, so that their first position is a patch."""
    late, early = made("timm/cait_xxs24_224", 32, arguments={"depth": 2}), made("timm/test_vit", 64)
    assert (late.positions, late.prefix_tokens) == ("all", 0)
    assert (early.positions, early.prefix_tokens) == ("cls", 1)


def test_a_swiglu_mlp_has_three_matrices() -> None:
    model = made("timm/eva02_tiny_patch14_224", 28, arguments={"depth": 2, "swiglu_mlp": True, "scale_mlp": True})
    assert len(model.blocks) == 2 and model.layers[-1] == "mlp.fc2" and len(model.layers) >= 2


@pytest.mark.parametrize(
    ("params", "blocks", "layers"),
    [
        ({"blocks": "blocks.*"}, 6, ["mlp.fc1", "mlp.fc2"]),
        ({"blocks": ["blocks.4", "blocks.[01]"]}, 3, ["mlp.fc1", "mlp.fc2"]),
        ({"blocks": ["blocks.5", "blocks.4"], "layers": ["attn.*"]}, 2, ["attn.qkv", "attn.proj"]),
        ({"layers": "mlp.fc?"}, 6, ["mlp.fc1", "mlp.fc2"]),
        ({"blocks": "blocks.*.mlp", "layers": ["fc2"]}, 6, ["fc2"]),
    ],
)
def test_blocks_and_layers_that_are_given(params: dict[str, Any], blocks: int, layers: list[str]) -> None:
    model = made("timm/test_vit", 32, **params)
    assert len(model.blocks) == blocks and list(model.layers) == layers and list(model.blocks) == sorted(model.blocks)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("timm/test_vit", {"blocks": "block.*"}, r"blocks: 'block.\*' matches no module .* nearest: blocks"),
        ("timm/test_vit", {"layers": ["mlp.fc3"]}, "'mlp.fc3' matches no linear layer .*'blocks.0'.* nearest: mlp.fc"),
        ("torchvision/resnet18", {"layers": ["conv7"]}, "'conv7' matches no linear layer or convolution"),
        ("timm/test_vit", {"blocks": ["blocks.0", "blocks.0.mlp"]}, "'blocks.0.mlp' is inside 'blocks.0'"),
        ("timm/test_vit", {"blocks": "blocks.*.norm1"}, "'blocks.0.norm1': no MLP and no convolution .* give 'layers'"),
        ("timm/test_vit", {"blocks": []}, "at least 1 item"),
        ("torchvision/squeezenet1_0", {}, "cannot read images of 3x16x16"),
    ],
)
def test_patterns_that_match_nothing(name: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        made(name, 16 if "squeeze" in name else 32, **params)
    assert "\n" not in str(caught.value)
