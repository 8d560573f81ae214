"""The methods that start weights anew: which ones, from where, and each step of their training by hand, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vitmem.edits.base import EditContext, EditResult
from vitmem.edits.deletion import Del, critical_channels
from vitmem.edits.eu_k import EuK

Problem = Callable[..., EditContext]
Walk = Callable[..., dict[str, Tensor]]
Pairs = Callable[[EditContext], tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]]
Same = Callable[[EditResult, dict[str, Tensor]], None]
PATHS = ("0", "2")
ALL = 60  # more than there are examples: every step sees all of them


def test_critical_channels_are_whole_and_at_most_the_share() -> None:
    values = {"a": torch.tensor([[1.0, 3.0], [6.0, 6.0]]), "b": torch.tensor([[9.0, 0, 0, 0], [4.0, 4.0, 4.0, 8.0]])}
    # means 2, 6 | 2.25, 5: the order is a1 (2 numbers), b1 (4), b0 (4), a0 (2)
    for ratio, a, b in ((0.4, 1, 0), (0.5, 1, 1), (0.8, 1, 1), (0.9, 1, 2), (1.0, 2, 2)):
        masks = critical_channels(values, ratio)
        assert (int(masks["a"][:, 0].sum()), int(masks["b"][:, 0].sum())) == (a, b)
        assert all(mask.shape == values[path].shape for path, mask in masks.items())


@pytest.mark.parametrize("conv", [False, True])
def test_deletion_starts_the_critical_channels_anew(problem: Problem, conv: bool, pairs: Pairs) -> None:
    context = problem(conv)
    (x, y), _ = pairs(context)
    weights = [context.layers[path].weight for path in PATHS]
    found = torch.autograd.grad(functional.cross_entropy(context.model(x), y, reduction="sum"), weights)  # type: ignore[arg-type]
    scores = {p: (w * g).abs() for p, w, g in zip(PATHS, weights, found, strict=True)}  # type: ignore[operator]
    masks = critical_channels({p: s.detach().T if conv else s.detach() for p, s in scores.items()}, 0.3)
    still = Del(epochs=1, lr=1e-12, batch_size=ALL).edit(context)
    for path, weight in zip(PATHS, weights, strict=True):
        old = (weight.T if conv else weight).detach()  # type: ignore[union-attr, operator]
        new, mask = still.weights[path], masks[path]
        assert torch.equal(new[~mask], old[~mask])
        assert (new[mask] != old[mask]).all() and float(new[mask].abs().max()) <= old.shape[1] ** -0.5
    assert 0 < sum(int(mask.sum()) for mask in masks.values()) <= 0.3 * (6 * 32 + 32 * 16)
    moved = Del(epochs=4, lr=0.05, batch_size=ALL).edit(context)
    for path, mask in masks.items():
        assert torch.equal(moved.weights[path][~mask], still.weights[path][~mask])
        assert (moved.weights[path] != still.weights[path])[mask].any()


def drawn(context: EditContext) -> list[Tensor]:
    """New weights of both layers, (p, q) each, uniform within one over the root of q, drawn in float32."""
    generator = torch.Generator().manual_seed(context.seed)
    shapes = [context.layers[path].weight.shape for path in PATHS]  # type: ignore[union-attr]
    return [(torch.rand(s, generator=generator) * 2 * s[1] ** -0.5 - s[1] ** -0.5).double() for s in shapes]


def test_deletion_by_hand(problem: Problem, walk: Walk, pairs: Pairs, same: Same) -> None:
    context = problem()
    (x, y), (kept, labels) = pairs(context)
    weights = [context.layers[path].weight for path in PATHS]
    found = torch.autograd.grad(functional.cross_entropy(context.model(x), y), weights)  # type: ignore[arg-type]
    channels = [(w * g).abs().mean(1) for w, g in zip(weights, found, strict=True)]  # type: ignore[operator]
    # the most critical whole channels: 6 numbers each in the first layer, 32 in the second, 211 of all 704
    order = sorted(((-float(v), n, i) for n, scores in enumerate(channels) for i, v in enumerate(scores)))
    start, left = [torch.full_like(new, torch.nan) for new in drawn(context)], 211
    for _, n, i in order:
        left -= start[n].shape[1]
        if left < 0:
            break
        start[n][i] = drawn(context)[n][i]

    def loss(net: Any) -> Tensor:
        return functional.cross_entropy(net(kept), labels)

    rates = [0.1 * (0.01 + 0.99 * share) for share in (1, 0.75, 0.25)]  # (1 + cos t) / 2 at 0, 60 and 120 degrees
    result = Del(ratio=0.3, epochs=3, lr=0.1, batch_size=ALL).edit(context)
    same(result, walk(context, [loss] * 3, rates, start, decay=0.0))
    assert result.passes == pytest.approx((len(x) + 3 * len(kept)) / (len(x) + len(kept)))


def test_eu_k_by_hand(problem: Problem, walk: Walk, pairs: Pairs, same: Same) -> None:
    context = problem()
    _, (kept, labels) = pairs(context)

    def loss(net: Any) -> Tensor:
        return functional.cross_entropy(net(kept), labels)

    result = EuK(steps=3, lr=0.3, batch_size=ALL).edit(context)
    same(result, walk(context, [loss] * 3, [0.3, 0.2, 0.1], drawn(context)))


def test_eu_k_starts_every_given_layer_anew(problem: Problem) -> None:
    one, other = (EuK(steps=1, lr=1e-12).edit(problem(seed=seed)) for seed in (1, 2))
    for path, layer in problem().layers.items():
        bound = layer.weight.shape[1] ** -0.5  # type: ignore[union-attr, index]
        assert 0.9 * bound < float(one.weights[path].abs().max()) <= bound + 1e-9
        assert not torch.equal(one.weights[path], other.weights[path])
        assert one.reports[path].kept_pairs == 0
