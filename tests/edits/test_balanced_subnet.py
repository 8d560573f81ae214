"""BalancedSubnet: exactly so many zeros, gradients of scores by hand, an effect that a random subnet has not."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from vitmem.edits.balanced_subnet import BalancedSubnet
from vitmem.edits.base import EditContext, Examples
from vitmem.edits.training import masked
from vitmem.errors import InputError, VitmemError
from vitmem.kfac import edited, find_layers


def losses(call: Any, inputs: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(call(inputs), labels, reduction="none")


def problem(conv: bool = False, nan: bool = False) -> EditContext:
    """A network that has learned forty points, ten of them with labels that nothing but memory gives."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 6, generator=generator)
    y = (x[:, 0] > 0).long()
    y[:10] = 1 - y[:10]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = Conv1D(64, 6) if conv else nn.Linear(6, 64)
        net = nn.Sequential(first, nn.ReLU(), nn.Linear(64, 2))
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
        for _ in range(300):
            optimizer.zero_grad()
            functional.cross_entropy(net(x), y).backward()
            optimizer.step()
    if nan:
        x[:10] = float("nan")
    examples = Examples((x[:10], y[:10]), (x[10:], y[10:]), losses)
    return EditContext(net, find_layers(net, ["0", "2"]), None, seed=1, examples=lambda: examples)


@pytest.mark.parametrize("conv", [False, True])
@pytest.mark.parametrize("epochs", [0, 3])
def test_exactly_so_many_weights_are_zeroed_and_the_others_left_alone(epochs: int, conv: bool) -> None:
    context = problem(conv)
    before = {name: value.clone() for name, value in context.model.state_dict().items()}
    result = BalancedSubnet(ratio=0.1, epochs=epochs).edit(context)
    assert all(torch.equal(value, before[name]) for name, value in context.model.state_dict().items())
    for path, new in result.weights.items():
        old = before[f"{path}.weight"]
        old = old.T if conv and path == "0" else old
        assert new.shape == old.shape
        assert int((new == 0).sum()) == math.floor(0.1 * old.numel())
        assert torch.equal(new[new != 0], old[new != 0])
        assert result.reports[path].kept_pairs == old.numel() - math.floor(0.1 * old.numel())


def test_what_is_to_be_forgotten_is_and_the_rest_is_kept() -> None:
    context = problem()
    assert context.examples is not None
    examples = context.examples()

    def shares(result: Any) -> list[float]:
        with edited(context.model, result.weights), torch.no_grad():
            pairs = (examples.forget, examples.keep)
            return [float((context.model(x).argmax(1) == y).double().mean()) for x, y in pairs]

    trained = shares(BalancedSubnet(ratio=0.3, epochs=60, batch_size=10).edit(context))
    chance = shares(BalancedSubnet(ratio=0.3, epochs=0).edit(context))
    assert trained[0] < chance[0] / 2 and trained[1] > chance[1] - 0.1


def test_the_gradient_of_a_score_is_that_of_its_mask_times_its_sign() -> None:
    weight = torch.tensor([[2.0, -3.0], [0.5, 4.0]])
    score = torch.tensor([[0.1, -0.4], [-0.05, 0.3]], requires_grad=True)
    kept = masked(weight, score, ratio=0.25)  # the smallest |score| is that of 0.5
    assert kept.tolist() == [[2.0, -3.0], [0.0, 4.0]]
    (kept * torch.tensor([[1.0, 10.0], [100.0, 1000.0]])).sum().backward()
    # dL/dm = dL/dW * W, then the sign of the score
    assert score.grad is not None
    assert score.grad.tolist() == [[2.0, 30.0], [-50.0, 4000.0]]


def test_what_cannot_be_done() -> None:
    with pytest.raises(InputError, match="needs examples to forget and to keep"):
        BalancedSubnet(ratio=0.1).edit(EditContext(nn.Linear(2, 2), {}, None, seed=0))
    with pytest.raises(VitmemError, match="the loss is not finite; lower lr"):
        BalancedSubnet(ratio=0.1).edit(problem(nan=True))
    # masks are 0 or 1 whatever the scores: the loss stays finite
    with pytest.raises(VitmemError, match=r"^balanced_subnet: NaN or infinity in the scores of layer '0'; lower lr$"):
        BalancedSubnet(ratio=0.1, lr=3e38).edit(problem())


def test_matched_it_zeroes_as_much_as_may_be_lost_and_no_more() -> None:
    context = problem()

    def loss(weights: Any) -> float:
        keep, labels = context.examples().keep  # type: ignore[misc]
        with edited(context.model, weights), torch.no_grad():
            return float(losses(context.model, keep, labels).mean())

    context = replace(context, loss=loss)
    base = loss({})
    zeroed = []
    for allowed in (0.02, 0.2):
        result = BalancedSubnet(ratio=0.1, match_loss=allowed).edit(context)
        assert loss(result.weights) <= base + allowed
        zeroed.append(sum(int((w == 0).sum()) for w in result.weights.values()))
    assert 0 < zeroed[0] < zeroed[1]
    more = BalancedSubnet(ratio=0.1, match_loss=10.0).edit(context)
    assert sum(int((w == 0).sum()) for w in more.weights.values()) > zeroed[1]
