"""Small networks for the tests of edit methods: one with statistics of all its layers, one that has memorized."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from vitmem.adapters.vision import VisionTask
from vitmem.edits.base import EditContext, EditResult, Examples
from vitmem.kfac import find_layers, fit

Problem = Callable[..., EditContext]
WRONG = 12
DECAY, MOMENTUM = 5e-4, 0.9


def losses(call: Any, inputs: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(call(inputs), labels, reduction="none")


def logits(call: Any, inputs: Tensor, labels: Tensor) -> Tensor:
    return call(inputs)


@pytest.fixture
def context() -> EditContext:
    """The edit of two layers of a network far from its initial size."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 10), nn.Tanh(), nn.Linear(10, 3))
        for parameter in net.parameters():
            parameter.data.mul_(4)  # far from its initial size, so that the classes of the outputs differ
        batch = torch.randn(40, 12), torch.randint(3, (40,))
    layers = find_layers(net, ["0", "2"])
    factors = fit(net, find_layers(net, ["*"]), VisionTask("all", 0), [batch], seed=0, moments="coupled")
    return EditContext(net, layers, factors, seed=5)


@pytest.fixture(scope="session")
def trained() -> tuple[nn.Sequential, Tensor, Tensor]:
    """Sixty points in three classes, the first twelve with labels that nothing but memory gives."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 6, generator=generator, dtype=torch.float64)
    y = x[:, :3].argmax(1)
    y[:WRONG] = (y[:WRONG] + 1) % 3
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 3)).double()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    return net.eval(), x, y


@pytest.fixture
def problem(trained: tuple[nn.Sequential, Tensor, Tensor]) -> Problem:
    """Make the edit of its first two layers; with ``conv`` they are of the kind that keeps its weight transposed."""

    def make(conv: bool = False, dtype: torch.dtype = torch.float64, forget: int = WRONG, seed: int = 1) -> EditContext:
        net, x, y = copy.deepcopy(trained[0]), trained[1].to(dtype), trained[2]
        if conv:
            net = nn.Sequential(*(_transposed(m) if n in (0, 2) else m for n, m in enumerate(net)))
        net = net.to(dtype)
        kept = x[WRONG:], y[WRONG:]
        proxy = lambda share: (kept[0][: round(share * len(x))], kept[1][: round(share * len(x))])  # noqa: E731
        examples = Examples((x[:forget], y[:forget]), kept, losses, logits, proxy)
        return EditContext(net, find_layers(net, ["0", "2"]), None, seed=seed, examples=lambda: examples)

    return make


@pytest.fixture(scope="session")
def pairs() -> Callable[[EditContext], tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]]:
    """Inputs and labels of what is to be forgotten, and of what is to be kept."""

    def told(context: EditContext) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        assert context.examples is not None
        return context.examples().forget, context.examples().keep

    return told


@pytest.fixture(scope="session")
def same() -> Callable[[EditResult, dict[str, Tensor]], None]:
    """Assert that an edit gives the expected weights, to rounding in float64."""

    def compare(result: EditResult, expected: dict[str, Tensor]) -> None:
        assert result.weights.keys() == expected.keys()
        for path, weight in expected.items():
            torch.testing.assert_close(result.weights[path], weight, rtol=1e-12, atol=1e-13)

    return compare


@pytest.fixture
def walk() -> Callable[..., dict[str, Tensor]]:
    """Train both layers by a loop that is written out."""
    return _walk


def _walk(
    context: EditContext, losses: list[Any], rates: list[float], start: list[Tensor] | None = None, decay: float = DECAY
) -> dict[str, Tensor]:
    """Take a step of SGD down each of ``losses``, functions of a model, with torch's formula written out.

    A number of ``start`` that is NaN is one that is not trained.
    """
    net = copy.deepcopy(context.model)
    weights = [net.get_submodule(path).weight for path in context.layers]
    held = [torch.isnan(s) for s in start or weights]
    for w, s in zip(weights, start or weights, strict=True):
        w.data = torch.where(torch.isnan(s), w.detach(), s.detach())
    velocity = [torch.zeros_like(w) for w in weights]
    for loss, rate in zip(losses, rates, strict=True):
        found = torch.autograd.grad(loss(net), weights)
        for n, (w, g) in enumerate(zip(weights, found, strict=True)):
            velocity[n] = MOMENTUM * velocity[n] + g + decay * w.detach()
            w.data -= rate * velocity[n] * ~held[n]
    return {path: w.detach() for path, w in zip(context.layers, weights, strict=True)}


def _transposed(layer: nn.Module) -> Conv1D:
    assert isinstance(layer, nn.Linear)
    out = Conv1D(layer.out_features, layer.in_features).double()
    out.weight.data, out.bias.data = layer.weight.data.T.contiguous(), layer.bias.data.clone()
    return out
