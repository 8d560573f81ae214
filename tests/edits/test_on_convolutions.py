"""A convolution whose kernel is the whole image is a linear layer: methods that train do to it what they do to that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vitmem.edits.base import EditContext
from vitmem.kfac import edited, find_layers
from vitmem.registry import EDITS

EDITS_TO_TRY: dict[str, dict[str, Any]] = {
    "balanced_subnet": {"ratio": 0.3, "epochs": 2},
    "neggrad_plus": {"epochs": 2, "lr": 0.01},
    "scrub": {"epochs": 2, "lr": 1e-3},
    "ssd": {"alpha": 1.0},
    "salun": {"epochs": 2},
    "del": {"epochs": 2},
    "finetune": {"steps": 3},
    "eu_k": {"steps": 3},
    "cuts": {"alpha": 0.5, "epochs": 1},
}


class Images(nn.Module):
    """The network of the other tests with a convolution in the first place, for the same rows of numbers (n, 6)."""

    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        linear = net[0]
        conv = nn.Conv2d(1, linear.out_features, (2, 3)).double()
        conv.weight.data, conv.bias.data = linear.weight.data.reshape(-1, 1, 2, 3).clone(), linear.bias.data.clone()
        self.net = nn.Sequential(conv, nn.Flatten(), *net[1:])

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.reshape(-1, 1, 2, 3))


@pytest.mark.parametrize("name", EDITS_TO_TRY)
def test_it_is_edited_as_the_linear_layer_that_it_is(name: str, problem: Callable[..., EditContext]) -> None:
    plain = problem()
    net = Images(plain.model)
    images = EditContext(net, find_layers(net, ["net.0", "net.3"]), None, seed=plain.seed, examples=plain.examples)
    method = EDITS.get(name).parse(EDITS_TO_TRY[name], "edit")
    one, other = (method.edit(context) for context in (plain, images))
    for path, twin in (("0", "net.0"), ("2", "net.3")):
        weight = other.weights[twin]
        torch.testing.assert_close(weight, one.weights[path], rtol=1e-9, atol=1e-11)
        assert other.reports[twin].kept_pairs == one.reports[path].kept_pairs
        assert not torch.equal(weight, images.weight(twin))
    with edited(net, other.weights), edited(plain.model, one.weights), torch.no_grad():
        x = plain.examples().keep[0]  # type: ignore[misc]
        torch.testing.assert_close(net(x), plain.model(x), rtol=1e-8, atol=1e-9)
