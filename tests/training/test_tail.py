"""Passes that start at the first edited block equal full passes, and step aside where they cannot."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from vitmem.models.base import ImageShape, build
from vitmem.registry import MODELS
from vitmem.training.tail import Tails

IMAGES = torch.randn(10, 3, 16, 16, generator=torch.Generator().manual_seed(0))
BLOCKS = [f"blocks.{n}" for n in range(3)]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def vit() -> nn.Module:
    net = VisionTransformer(img_size=16, patch_size=8, embed_dim=16, depth=3, num_heads=2, num_classes=5)
    return net.eval()


def mixer() -> nn.Module:
    params = MODELS.get("mixer").parse({"patch_size": 8, "width": 16, "depth": 3}, "model")
    net = build(params, ImageShape(3, 16, 5), seed=0).net.eval()
    nn.init.normal_(net.head.weight)  # it begins as zeros, which every pass would agree on
    return net


class Own(nn.Module):
    """Blocks of an architecture of one's own, (B, 8) each; ``way`` is how the pass goes through them."""

    def __init__(self, way: str = "plain") -> None:
        super().__init__()
        self.way = way
        self.stem, self.head = nn.Linear(3 * 16 * 16, 8), nn.Linear(8, 5)
        self.blocks = nn.ModuleList(OwnBlock(8, way) for _ in range(3))

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images.flatten(1))
        if self.way == "tuple":
            state = (x, x)
            for block in self.blocks:
                state = block(state)
            return self.head(state[0])
        if self.way == "named":
            for block in self.blocks:
                x = block(x=x)
            return self.head(x)
        middle = x = self.blocks[0](x) if self.way == "skip" else x
        mask = (x > 0).to(x)
        for block in self.blocks[1:] if self.way == "skip" else self.blocks:
            x = block(x, mask) if self.way == "masked" else block(x)
        if self.way == "again":
            x = self.blocks[2](x)
        return self.head(x + middle if self.way == "skip" else x)


class OwnBlock(nn.Linear):
    def __init__(self, width: int, way: str) -> None:
        super().__init__(width, width)
        self.way = way

    def forward(self, x, mask=None):  # type: ignore[no-untyped-def, override]
        if isinstance(x, tuple):
            return x[0] + super().forward(x[1]).tanh(), x[1]
        return x + super().forward(x).tanh() * (1 if mask is None else mask)


@torch.no_grad()
def run(net: nn.Module, images: Tensor = IMAGES) -> Tensor:
    kind = next(net.parameters()).dtype
    return torch.cat([net(batch.to(kind)) for batch in images.split(4)])


def change(net: nn.Module, path: str) -> None:
    """Edit every matrix of a block."""
    with torch.no_grad():
        for parameter in net.get_submodule(path).parameters():
            if parameter.ndim == 2:
                parameter.mul_(0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("first", [1, 2])
@pytest.mark.parametrize("make", [vit, mixer, Own, lambda: Own("masked")], ids=["vit", "mixer", "own", "masked"])
def test_an_edited_tail_predicts_what_a_full_pass_predicts(
    make: Callable[[], nn.Module], first: int, dtype: torch.dtype
) -> None:
    net = make().to(dtype)
    kept = Tails(net, BLOCKS).entered(first, "all", lambda: run(net))
    assert kept is not None
    before = run(net)
    change(net, "blocks.2")
    calls: list[int] = []
    # a layer of the block, so that a block whose forward pass is skipped is not counted
    inner = next(net.get_submodule("blocks.0").children(), None)
    handle = inner.register_forward_hook(lambda *_: calls.append(1)) if inner else None
    with kept.replayed():
        replayed = run(net)
    assert not calls
    if handle:
        handle.remove()
    assert torch.equal(replayed, run(net)) and not torch.equal(replayed, before)
    assert all("forward" not in vars(net.get_submodule(path)) for path in BLOCKS)


@pytest.mark.parametrize("way", ["tuple", "named", "skip", "again"])
def test_a_network_that_cannot_be_entered_in_the_middle_is_left_to_full_passes(way: str) -> None:
    net = Own(way).eval()
    before = run(net)
    tails, passes = Tails(net, BLOCKS), []

    def counted() -> Tensor:
        passes.append(1)
        return run(net)

    assert tails.entered(2, "all", counted) is None
    seen = len(passes)
    assert tails.entered(2, "all", counted) is None and len(passes) == seen  # it is not tried again
    assert torch.equal(run(net), before)
    assert not any(m._forward_pre_hooks or "forward" in vars(m) for m in net.modules())


def test_what_lies_between_blocks_is_computed_and_changes_no_logit() -> None:
    net = SwinTransformer(
        img_size=32, patch_size=4, embed_dim=8, depths=(2, 2), num_heads=(1, 1), window_size=4, num_classes=5
    ).eval()
    images = torch.randn(10, 3, 32, 32)
    blocks = [f"layers.{stage}.blocks.{n}" for stage in range(2) for n in range(2)]
    for first in range(1, 4):
        kept = Tails(net, blocks).entered(first, "all", lambda: run(net, images))
        assert kept is not None
        change(net, blocks[3])
        with kept.replayed():
            replayed = run(net, images)
        assert torch.equal(replayed, run(net, images))


def test_a_forward_pass_that_somebody_has_replaced_is_put_back() -> None:
    net = vit()
    own = net.blocks[0].forward
    net.blocks[0].forward = own
    kept = Tails(net, BLOCKS).entered(1, "all", lambda: run(net))
    assert kept is not None and vars(net.blocks[0])["forward"] is own


def test_the_least_recently_used_make_room() -> None:
    net = vit()
    size = len(IMAGES) * 5 * 16 * 4  # tokens, width, bytes
    tails = Tails(net, BLOCKS, budget=2 * size)
    made: list[int] = []

    def entered(first: int, images: str) -> None:
        before = len(made)
        tail = tails.entered(first, images, lambda: (made.append(first), run(net))[1])
        assert tail is not None and tail.nbytes == size
        found.append(len(made) > before)

    found: list[bool] = []
    for first, images in [(1, "all"), (2, "all"), (1, "all"), (1, "half"), (1, "all"), (2, "all"), (1, "half")]:
        entered(first, images)
    #        new, new, there, new for (2, "all"), there, new for (1, "half"), new again
    assert found == [True, True, False, True, False, True, True]


def test_nothing_is_kept_beyond_the_budget() -> None:
    net = vit()
    assert Tails(net, BLOCKS, budget=1000).entered(1, "all", lambda: run(net)) is None
    assert not net.blocks[1]._forward_pre_hooks
