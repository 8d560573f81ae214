"""The statistics of a layer are the same to the bit, whichever layers are looked at beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from vitmem.adapters.vision import VisionTask
from vitmem.kfac import find_layers, fit, fit_for
from vitmem.models.base import ImageShape, VisionModel, architecture_of, build
from vitmem.registry import MODELS

SHAPE = ImageShape(channels=3, size=16, num_classes=5)


class Encoder(nn.Module):
    """Two blocks of torch's own encoder, whose attention has a fused form for inputs without gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(48, 32)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True, dropout=0.0) for _ in range(2)
        )
        self.head = nn.Linear(32, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.embed(images.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(1))


def encoder() -> VisionModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Encoder()
    return VisionModel(net, blocks=("blocks.0", "blocks.1"), layers=("linear1", "linear2"), positions="all")


def named(name: str, **params: Any) -> Callable[[], VisionModel]:
    return lambda: build(MODELS.get(name).parse(params, "model"), SHAPE, 0, architecture_of(name))


@pytest.mark.parametrize("moments", ["coupled", "eigen"])
@pytest.mark.parametrize(
    "make",
    [encoder, named("vit", patch_size=4, width=24, depth=2), named("mixer", patch_size=4, width=16, depth=2)],
    ids=["encoder", "vit", "mixer"],
)
def test_no_bit_depends_on_the_other_layers(make: Callable[[], VisionModel], moments: Any) -> None:
    model = make()
    generator = torch.Generator().manual_seed(1)
    batches = [
        (torch.randn(9, 3, 16, 16, generator=generator), torch.randint(5, (9,), generator=generator)) for _ in range(3)
    ]
    task = VisionTask("all", model.prefix_tokens)
    whole = find_layers(model.net, model.editable("all"))
    together = fit_for(model.net, whole, task, lambda: batches, moments, seed=3, label_samples=2)
    parts = ([path] for path in whole)
    for some in ([path for path in whole if "1" in path.split(".")], *parts):
        alone = fit_for(model.net, {p: whole[p] for p in some}, task, lambda: batches, moments, seed=3, label_samples=2)
        for path in some:
            for name, value in vars(alone.layers[path]).items():
                other = vars(together.layers[path])[name]
                assert torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other, (path, name)


def test_the_fused_attention_is_back_afterwards() -> None:
    model = encoder()
    assert torch.backends.mha.get_fastpath_enabled()
    layers = find_layers(model.net, model.editable("last"))
    fit(model.net, layers, VisionTask("all"), [(torch.randn(2, 3, 16, 16), torch.tensor([0, 1]))], seed=0)
    assert torch.backends.mha.get_fastpath_enabled()
