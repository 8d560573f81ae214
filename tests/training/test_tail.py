"""Passes that start at the first edited block equal full passes, and step aside where they cannot."""

from __future__ import annotations

import pytest
import torch
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from vitmem.training.tail import keep_tail

IMAGES = torch.randn(10, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def vit() -> nn.Module:
    net = VisionTransformer(img_size=16, patch_size=8, embed_dim=16, depth=3, num_heads=2, num_classes=5)
    return net.eval()


@torch.no_grad()
def run(net: nn.Module) -> Tensor:
    return torch.cat([net(batch) for batch in IMAGES.split(4)])


@pytest.mark.parametrize("first", [1, 2])
def test_an_edited_tail_predicts_what_a_full_pass_predicts(first: int) -> None:
    net = vit()
    kept = keep_tail(net, [f"blocks.{n}" for n in range(3)], first, lambda: run(net), run(net))
    assert kept is not None
    with torch.no_grad():
        net.blocks[2].mlp.fc1.weight.mul_(0.5)
    calls: list[int] = []
    handle = net.blocks[0].mlp.register_forward_hook(lambda *_: calls.append(1))
    with kept.replayed():
        replayed = run(net)
    assert not calls  # the blocks below were not computed
    handle.remove()
    assert torch.equal(replayed, run(net))
    assert "forward" not in vars(net.blocks[0])


def test_a_network_that_cannot_be_entered_in_the_middle_is_left_to_full_passes() -> None:
    net = SwinTransformer(
        img_size=16, patch_size=2, embed_dim=8, depths=(1, 1), num_heads=(1, 1), window_size=4, num_classes=5
    ).eval()
    before = run(net)
    # skipping the first stage's block keeps its shape, but what is merged afterwards has to be computed still
    kept = keep_tail(net, ["layers.0.blocks.0", "layers.1.blocks.0"], 1, lambda: run(net), before)
    if kept is not None:
        with kept.replayed():
            assert torch.equal(run(net), before)
    assert torch.equal(run(net), before)


def test_nothing_is_kept_beyond_the_budget() -> None:
    net = vit()
    assert keep_tail(net, ["blocks.0", "blocks.1"], 1, lambda: run(net), run(net), budget=1000) is None
    assert not net.blocks[1]._forward_pre_hooks
