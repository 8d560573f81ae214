"""Networks say where their blocks are, come from their seed alone, and refuse what does not fit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vitmem.blocks import block_numbers
from vitmem.errors import InputError
from vitmem.kfac import find_layers
from vitmem.models import timm as timm_models
from vitmem.models import torchvision as torchvision_models
from vitmem.models.base import ImageShape, VisionModel, architecture_of, build
from vitmem.registry import MODELS

SHAPE = ImageShape(channels=3, size=16, num_classes=5)


def make(name: str, seed: int = 0, shape: ImageShape = SHAPE, **params: object) -> VisionModel:
    return build(MODELS.get(name).parse(params, "model"), shape, seed, architecture_of(name))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("last", [5]),
        ("last_two", [4, 5]),
        ("last_half", [3, 4, 5]),
        ("all_but_first", [1, 2, 3, 4, 5]),
        ("all", [0, 1, 2, 3, 4, 5]),
        ("first_and_last", [0, 5]),
        ("first", [0]),
        ([3, 1, -1, 5], [1, 3, 5]),
        (-2, [4]),
    ],
)
def test_block_sets(name: str | int | list[int], expected: list[int]) -> None:
    assert block_numbers(name, 6) == expected


@pytest.mark.parametrize("name", ["last_two", "all_but_first", "last_half", "first_and_last"])
def test_block_sets_of_one_block(name: str) -> None:
    assert block_numbers(name, 1) == [0]


@pytest.mark.parametrize(("blocks", "message"), [("lats", "unknown set 'lats'"), ([6], "from 0 to 5, got 6")])
def test_blocks_that_are_not_there(blocks: str | list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        block_numbers(blocks, 6)


def test_editable_patterns() -> None:
    model = make("vit", patch_size=8, width=12, depth=3)
    assert model.editable("last") == ["blocks.2.mlp.fc1", "blocks.2.mlp.fc2"]
    assert model.editable([0, 1], ["attn.qkv"]) == ["blocks.0.attn.qkv", "blocks.1.attn.qkv"]


@pytest.mark.parametrize(("pool", "tokens", "positions"), [("token", 5, "cls"), ("mean", 4, "all")])
def test_vit_pools_what_it_says(pool: str, tokens: int, positions: str) -> None:
    model = make("vit", patch_size=8, width=12, depth=2, heads=3, mlp_ratio=2.0, pool=pool)
    seen: list[torch.Size] = []
    fc1 = model.net.get_submodule("blocks.1.mlp.fc1")
    fc1.register_forward_hook(lambda _layer, args, out: seen.append(out.shape))
    assert model.net(torch.zeros(2, 3, 16, 16)).shape == (2, 5)
    assert seen == [(2, tokens, 24)]
    assert (model.positions, model.prefix_tokens) == (positions, int(pool == "token"))


def test_dropout_reaches_the_blocks() -> None:
    net = make("vit", patch_size=8, width=12, depth=1, dropout=0.3).net
    assert {m.p for m in net.modules() if isinstance(m, nn.Dropout)} >= {0.3}


def test_weights_come_from_the_seed_and_no_global_generator_moves() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one, same, other = (make("vit", seed, patch_size=8, width=12, depth=1).net for seed in (7, 7, 8))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.blocks[0].mlp.fc1.weight, other.blocks[0].mlp.fc1.weight)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("architecture", ["vit_tiny_patch16_224", "test_vit", "test_convnext"])
def test_timm_fits_head_and_first_layer(architecture: str, channels: int) -> None:
    shape = ImageShape(channels, 64, 7)
    model = make(f"timm/{architecture}", shape=shape)
    assert model.net(torch.zeros(2, channels, 64, 64)).shape == (2, 7)
    assert all(isinstance(model.net.get_submodule(path), nn.Linear) for path in model.editable("all"))
    assert model.positions == ("all" if architecture == "test_convnext" else "cls")


@pytest.mark.parametrize(
    ("architecture", "layers", "blocks", "expected"),
    [
        ("resnet18", None, 8, ["conv1", "conv2"]),
        ("resnet18", ["*"], 8, ["conv1", "conv2", "downsample.0"]),
        ("test_resnet", None, 4, ["conv1", "conv2", "conv3"]),  # some of its stages have bottlenecks
        ("swin_tiny_patch4_window7_224", None, 12, ["mlp.fc1", "mlp.fc2"]),
        ("swin_tiny_patch4_window7_224", ["attn.*"], 12, ["attn.qkv", "attn.proj"]),
        ("test_vit", ["attn.qkv", "attn.proj"], 6, ["attn.qkv", "attn.proj"]),
    ],
)
def test_what_of_timm_is_edited(architecture: str, layers: list[str] | None, blocks: int, expected: list[str]) -> None:
    model = make(f"timm/{architecture}", image_size=32)
    assert len(model.blocks) == blocks
    whole = find_layers(model.net, model.editable("all", layers))
    ends = {path.removeprefix(f"{block}.") for block in model.blocks for path in whole if path.startswith(f"{block}.")}
    assert ends == set(expected)


def test_timm_takes_further_arguments() -> None:
    model = make("timm/test_vit", arguments={"depth": 2, "global_pool": "avg"})
    assert len(model.blocks) == 2 and model.positions == "all"


@pytest.mark.parametrize(
    ("architecture", "blocks", "layers", "positions"),
    [
        ("vit_b_16", 12, ["mlp.0", "mlp.3"], "cls"),
        ("convnext_tiny", 18, ["block.3", "block.5"], "all"),
        ("resnet18", 8, ["conv1", "conv2"], "all"),
    ],
)
def test_what_of_torchvision_is_edited(architecture: str, blocks: int, layers: list[str], positions: str) -> None:
    model = make(f"torchvision/{architecture}", shape=ImageShape(3, 32, 7))
    assert len(model.blocks) == blocks and model.positions == positions
    found = find_layers(model.net, model.editable([0, -1]))
    assert list(found) == [f"{model.blocks[n]}.{layer}" for n in (0, -1) for layer in layers]
    assert model.net.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 7)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("timm/vit_tiny_patch16_224", (224, (0.5, 0.5, 0.5))),
        ("timm/vit_base_patch16_clip_384.laion2b_ft_in12k_in1k", (384, (0.48145466, 0.4578275, 0.40821073))),
        ("torchvision/swin_t", (224, (0.485, 0.456, 0.406))),
    ],
)
def test_how_published_weights_read_images(name: str, expected: tuple[object, ...]) -> None:
    library, _, architecture = name.partition("/")
    found = {"timm": timm_models, "torchvision": torchvision_models}[library].preprocessing(architecture)
    assert (found.size, found.mean) == expected


def test_timm_scales_images_to_another_size() -> None:
    model = make("timm/test_vit", image_size=32)
    seen: list[torch.Size] = []
    first = model.net.get_submodule("patch_embed")
    first.register_forward_pre_hook(lambda _layer, args: seen.append(args[0].shape))
    assert model.net(torch.zeros(2, 3, 16, 16)).shape == (2, 5)
    assert seen == [(2, 3, 32, 32)]


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("vit", {"patch_size": 5}, "expected a patch size that divides 16 pixels, got 5"),
        ("vit", {"width": 64, "heads": 3}, "3 heads divide, got 64"),
        ("mixer", {"patch_size": 5}, "model 'mixer': expected a patch size"),
        ("timm/vit_tiny_patch16_225", {}, "did you mean 'vit_tiny_patch16_224'"),
        ("timm/nf_resnet26", {}, r"\(ScaledStdConv2d\) compute their weight .* give 'blocks' and 'layers'"),
        ("timm/test_vit", {"arguments": {"dept": 2}}, "timm/test_vit': cannot be built .*'dept'"),
        ("timm/test_vit", {"arguments": {"num_classes": 9}}, "timm/test_vit': 'num_classes' is read from the data"),
        ("torchvision/vit_b_16", {"arguments": {"num_classes": 9}}, "vit_b_16': 'num_classes' is read from the data"),
        ("torchvision/resnet81", {}, "did you mean 'resnet18'"),
        ("torchvision/squeezenet1_0", {}, "cannot read images of 3x16x16: Given input size"),
        ("vti", {}, "did you mean 'vit'"),
    ],
)
def test_what_does_not_fit(name: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(name, **params)


@pytest.mark.parametrize("kind", ["no VisionModel", "no blocks"])
def test_a_plug_in_that_returns_too_little(kind: str) -> None:
    def plug_in(shape: ImageShape) -> object:
        return nn.Identity() if kind == "no VisionModel" else VisionModel(nn.Identity(), (), ("fc1",))

    MODELS.register("broken_test_model", summary="for this test")(plug_in)
    try:
        with pytest.raises(InputError, match="VisionModel" if kind == "no VisionModel" else "no blocks"):
            build(MODELS.get("broken_test_model")(), SHAPE, 0)
    finally:
        MODELS.discard("broken_test_model")
