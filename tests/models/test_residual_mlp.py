"""Residual MLPs against the formula written out, with one token and with several."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vitmem.errors import InputError
from vitmem.models.base import ImageShape, VisionModel, build
from vitmem.registry import MODELS

SHAPE = ImageShape(channels=1, size=8, num_classes=3)


def make(**params: object) -> VisionModel:
    return build(MODELS.get("residual_mlp").parse(params, "model"), SHAPE, 0)


def logits(model: VisionModel, rows: Tensor) -> Tensor:
    """Return the logits of embedded rows (B, T, width)."""
    state = model.net.state_dict()
    width = rows.shape[-1]

    def norm(x: Tensor, name: str) -> Tensor:
        return functional.layer_norm(x, (width,), state[f"{name}.weight"], state[f"{name}.bias"])

    for n in range(2):
        x = norm(rows, f"blocks.{n}.norm")
        hidden = (x @ state[f"blocks.{n}.fc1.weight"].T + state[f"blocks.{n}.fc1.bias"]).clamp_min(0)
        rows = rows + hidden @ state[f"blocks.{n}.fc2.weight"].T + state[f"blocks.{n}.fc2.bias"]
    return norm(rows, "norm").mean(1) @ state["head.weight"].T + state["head.bias"]


def test_one_token_is_all_pooled_pixels() -> None:
    model = make(pool=2, width=6, hidden=10)
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    pooled = images.reshape(4, 1, 4, 2, 4, 2).mean((3, 5)).flatten(1)  # (4, 16)
    state = model.net.state_dict()
    rows = pooled @ state["embed.proj.weight"].flatten(1).T + state["embed.proj.bias"]
    torch.testing.assert_close(model.net.eval()(images), logits(model, rows[:, None]))
    assert model.tokens == 1
    assert model.editable("last") == ["blocks.1.fc1", "blocks.1.fc2"]


def test_tokens_are_not_mixed_before_the_mean() -> None:
    model = make(patch_size=4, width=6, hidden=10)
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    state = model.net.state_dict()
    patches = functional.unfold(images, 4, stride=4).transpose(1, 2)  # (4, 4, 16)
    rows = patches @ state["embed.proj.weight"].flatten(1).T + state["embed.proj.bias"]
    torch.testing.assert_close(model.net.eval()(images), logits(model, rows))
    assert model.tokens == 4


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"patch_size": 3}, "expected a patch size that divides 8 pixels, got 3"),
        ({"patch_size": 4, "pool": 3}, "expected a 'pool' that divides a patch of 4 pixels, got 3; change pool"),
    ],
)
def test_what_does_not_tile_is_refused(params: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(**params)
