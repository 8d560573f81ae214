"""Optimizers of a recipe: their steps by hand, their groups, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import timm.optim
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from vitmem.data.module import NoisyImagesModule
from vitmem.data.noisy import NoisyImages
from vitmem.errors import InputError
from vitmem.models.base import ImageShape, VisionModel, build
from vitmem.recipe import Recipe
from vitmem.registry import MODELS
from vitmem.training.fit import check_recipe, train
from vitmem.training.optim import optimizer

STEPS = {"epochs": 2, "batch_size": 50, "lr": 0.02, "warmup_epochs": 1, "clip": None, "flip": True}


def plain(dtype: torch.dtype = torch.float32) -> VisionModel:
    """A ViT without dropout, which by-hand steps would have to draw."""
    params = MODELS.get("vit").parse({"patch_size": 4, "width": 16, "depth": 1, "heads": 2}, "model")
    model = build(params, ImageShape(1, 8, 10), seed=1)
    model.net.to(dtype)
    return model


def batches(noisy: NoisyImages, recipe: Recipe) -> Iterator[tuple[float, Tensor, Tensor]]:
    """Yield the learning rate, images and labels of each step of two epochs, by warm-up and cosine."""
    data = NoisyImagesModule(noisy, batch_size=recipe.batch_size, seed=5, flip=True)
    rates = [0.25, 0.5, 0.75, 1.0, *(0.5 + torch.arange(4).mul(torch.pi / 4).cos() / 2).tolist()]
    for epoch in range(2):
        for number, (images, given, _) in enumerate(data.batches(epoch)):
            yield recipe.lr * rates[4 * epoch + number], images, given


def trained(noisy: NoisyImages, recipe: Recipe, folder: Path) -> dict[str, Tensor]:
    train(plain(), noisy, recipe, 5, folder, device="cpu")
    return load_file(folder / "model.safetensors")


def close(weights: dict[str, Tensor], net: nn.Module, atol: float) -> bool:
    return all(torch.allclose(weights[name], value, rtol=0, atol=atol) for name, value in net.state_dict().items())


@pytest.mark.parametrize("asked", ["lamb", {"name": "adamw", "betas": [0.8, 0.95], "eps": 1e-6}, {"name": "lion"}])
def test_an_optimizer_of_timm_takes_its_own_steps(noisy: NoisyImages, tmp_path: Path, asked: Any) -> None:
    recipe = Recipe(**STEPS, optimizer=asked, weight_decay=0.1, precision="32")
    net = plain().net.train()
    arguments = {k: v for k, v in asked.items() if k != "name"} if isinstance(asked, dict) else {}
    name = asked["name"] if isinstance(asked, dict) else asked
    by_hand = timm.optim.create_optimizer_v2(net, name, lr=0.02, weight_decay=0.1, **arguments)
    for rate, images, given in batches(noisy, recipe):
        for group in by_hand.param_groups:
            group["lr"] = rate
        by_hand.zero_grad()
        functional.cross_entropy(net(images), given).backward()
        by_hand.step()
    weights = trained(noisy, recipe, tmp_path)
    assert close(weights, net, 1e-5) and not close(weights, plain().net, 1e-3)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_by_hand_in_float64(noisy: NoisyImages, tmp_path: Path, nesterov: bool) -> None:
    sgd = {"name": "sgd", "momentum": 0.9, "nesterov": nesterov}
    recipe = Recipe(**STEPS, optimizer=sgd, weight_decay=5e-2, precision="64")
    net = plain(torch.float64).net.train()
    velocity = {name: torch.zeros_like(value) for name, value in net.named_parameters()}
    for rate, images, given in batches(noisy, recipe):
        net.zero_grad()
        functional.cross_entropy(net(images.double()), given).backward()
        with torch.no_grad():
            for name, value in net.named_parameters():
                assert value.grad is not None
                decays = value.ndim > 1 and name not in ("pos_embed", "cls_token")
                gradient = value.grad + 5e-2 * decays * value
                velocity[name] = 0.9 * velocity[name] + gradient
                value -= rate * (gradient + 0.9 * velocity[name] if nesterov else velocity[name])
    weights = trained(noisy, recipe, tmp_path)
    assert {value.dtype for value in weights.values()} == {torch.float64}
    assert close(weights, net, 1e-9)  # float32 would be off by 1e-7


def test_norms_biases_and_what_the_network_excludes_do_not_decay() -> None:
    net = plain().net
    groups = optimizer(net, Recipe(epochs=1, optimizer="sgd", weight_decay=0.3)).param_groups
    decayed = {id(p) for group in groups if group["weight_decay"] == 0.3 for p in group["params"]}
    names = {name for name, p in net.named_parameters() if id(p) in decayed}
    assert names == {
        *("patch_embed.proj.weight", "head.weight", "blocks.0.attn.qkv.weight", "blocks.0.attn.proj.weight"),
        *("blocks.0.mlp.fc1.weight", "blocks.0.mlp.fc2.weight"),
    }
    assert {group["weight_decay"] for group in groups} == {0.0, 0.3}


@pytest.mark.parametrize("name", [None, "sgd", "adamw"])
def test_layer_decay_by_depth(name: str | None) -> None:
    params = MODELS.get("vit").parse({"patch_size": 4, "width": 16, "depth": 3, "heads": 2}, "model")
    net = build(params, ImageShape(1, 8, 10), seed=1).net
    recipe = Recipe(epochs=1, lr=0.5, layer_decay=0.7, optimizer=name, weight_decay=0.1)
    groups = optimizer(net, recipe).param_groups
    assert sum(len(group["params"]) for group in groups) == len(list(net.parameters()))
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    # stem 0, blocks 1 to 3, the norm with the last one, head 4
    depth = {"cls_token": 0, "pos_embed": 0, "patch_embed": 0, "norm": 3, "head": 4}
    for path, parameter in net.named_parameters():
        first, second = (*path.split("."), "")[:2]
        number = int(second) + 1 if first == "blocks" else depth[first]
        assert rates[id(parameter)] == pytest.approx(0.5 * 0.7 ** (4 - number)), path
    decays = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    assert all(p.ndim > 1 for p in net.parameters() if id(p) in decays) and decays


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"optimizer": "sgdd"}, "unknown optimizer 'sgdd'; did you mean 'sgd'?"),
        ({"optimizer": "SGD"}, "unknown optimizer 'SGD'; "),
        (
            {"optimizer": {"name": "sgd", "momentun": 0.9}},
            "'sgd': unknown argument 'momentun'; did you mean 'momentum'?",
        ),
        ({"optimizer": {"name": "sgd", "eps": 0.9}}, "'sgd': unknown argument 'eps'"),
        ({"optimizer": {"name": "sgd", "lr": 0.9}}, "'sgd': 'lr' is set by the recipe; leave it out"),
        ({"optimizer": {"name": "sgd", "momentum": -1}}, "'sgd': Invalid momentum value: -1"),
        ({"optimizer": {"name": "adamw", "betas": 0.9}}, "'betas': expected a value such as [0.9, 0.999], got 0.9"),
        ({"optimizer": {"name": "sgd", "nesterov": 1}}, "'nesterov': expected a value such as False, got 1"),
        ({"optimizer": {"name": "sgd", "momentum": "1e-1"}}, "'momentum': expected a value such as 0, got '1e-1'"),
        (
            {"optimizer": {"name": "adamw", "betas": [0.9]}},
            "'betas': expected a value such as [0.9, 0.999], got [0.9]",
        ),
        ({"optimizer": "adahessian"}, "needs second derivatives"),
        ({"optimizer": "kron"}, "draws random numbers that no checkpoint has"),
        ({"scheduler": "cosinus"}, "unknown scheduler 'cosinus'; did you mean 'cosine'?"),
        (
            {"scheduler": {"name": "step", "decay_rte": 0.1}},
            "'step': unknown argument 'decay_rte'; did you mean 'decay_r",
        ),
        ({"scheduler": {"name": "cosine", "lr_min": 0.1}}, "'cosine': 'lr_min' is set by the recipe"),
        ({"scheduler": "step"}, "'step' needs 'decay_t', such as 30, got None"),
        ({"scheduler": {"name": "step", "decay_t": 30}}, "'step' needs 'decay_rate', such as 0.1, got None"),
        (
            {"scheduler": {"name": "multistep", "decay_t": 60, "decay_rate": 0.1}},
            "'multistep' needs 'decay_t', such as [60, 120], got 60",
        ),
        (
            {"scheduler": {"name": "step", "decay_t": "30", "decay_rate": 0.1}},
            "'decay_t' counts epochs: expected numbers above 0, got '30'",
        ),
        (
            {"scheduler": {"name": "multistep", "decay_t": [3, 0], "decay_rate": 0.1}},
            "'decay_t' counts epochs: expected numbers above 0",
        ),
        ({"scheduler": "plateau"}, "'plateau' follows a measured accuracy"),
        ({"precision": "16"}, "precision '16' (float16 with a loss scale) needs a CUDA device, got cpu; take bf16"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        check_recipe(Recipe(epochs=1, **changes), plain().net, torch.device("cpu"))
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_layer_decay_needs_layer_groups(new_model: Callable[[], VisionModel]) -> None:
    with pytest.raises(InputError, match="needs the layer groups of a timm network, and Linear has none"):
        optimizer(nn.Linear(2, 2), Recipe(epochs=1, layer_decay=0.7))


def test_a_step_of_adamw_divides_no_clipped_gradient_by_a_loss_scale() -> None:
    """A fused step does, and gradients are clipped before it."""
    assert not optimizer(plain().net, Recipe(epochs=1, precision="16")).param_groups[0]["fused"]
    assert optimizer(plain().net, Recipe(epochs=1)).param_groups[0]["fused"]
    with pytest.raises(InputError, match="'fused' cannot clip the gradients of precision '16'"):
        optimizer(plain().net, Recipe(epochs=1, precision="16", optimizer={"name": "adamw", "fused": True}))
