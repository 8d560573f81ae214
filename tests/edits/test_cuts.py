"""CUTS and its control: the way that random labels move the weights by hand, what is taken back, what is refused."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from vitmem.edits.base import EditContext, EditResult
from vitmem.edits.cuts import Cuts
from vitmem.edits.random_task_vector import RandomTaskVector
from vitmem.edits.salun import random_relabel
from vitmem.errors import InputError, VitmemError
from vitmem.kfac import edited
from vitmem.specs import seed_from

Problem = Callable[..., EditContext]
ALL = 60  # more than the proxy has: every step sees all of it
SMALL: dict[str, Any] = {"proxy_share": 0.5, "epochs": 4, "lr": 0.01, "batch_size": 8}
BOTH = pytest.mark.parametrize("method", [Cuts, RandomTaskVector])


def way(context: EditContext, inputs: Tensor, labels: Tensor, epochs: int, lr: float) -> list[Tensor]:
    """How far AdamW, written out, moves the weights of both layers at a rate that falls along a cosine."""
    net = copy.deepcopy(context.model)
    weights = [net.get_submodule(path).weight for path in context.layers]
    first, second = ([torch.zeros_like(w) for w in weights] for _ in range(2))
    for t in range(1, epochs + 1):
        rate = lr * (1 + math.cos(math.pi * (t - 1) / epochs)) / 2
        found = torch.autograd.grad(functional.cross_entropy(net(inputs), labels), weights)
        for n, (w, g) in enumerate(zip(weights, found, strict=True)):
            first[n] = 0.9 * first[n] + 0.1 * g
            second[n] = 0.999 * second[n] + 0.001 * g**2
            w.data -= rate * 0.01 * w.data
            w.data -= rate * first[n] / (1 - 0.9**t) / ((second[n] / (1 - 0.999**t)).sqrt() + 1e-8)
    return [w.detach() - context.layers[path].weight.detach() for path, w in zip(context.layers, weights, strict=True)]  # type: ignore[operator, union-attr]


def test_cuts_by_hand(problem: Problem) -> None:
    context = problem()
    assert context.examples is not None and context.examples().proxy is not None
    inputs, labels = context.examples().proxy(0.4)  # type: ignore[misc]
    ways = []
    for number in range(2):
        generator = torch.Generator().manual_seed(seed_from("task vector", number))
        ways.append(way(context, inputs, random_relabel(labels, 3, generator), 3, 0.02))
    result = Cuts(alpha=1.5, proxy_share=0.4, epochs=3, lr=0.02, batch_size=ALL).edit(context)
    for (path, layer), one, other in zip(context.layers.items(), *ways, strict=True):
        expected = layer.weight.detach() - 1.5 * (one + other) / 2  # type: ignore[operator, union-attr]
        torch.testing.assert_close(result.weights[path], expected, rtol=1e-11, atol=1e-13)
        assert not torch.equal(one, other)
    assert result.passes == 6


def norms(result: EditResult) -> list[float]:
    return [report.change_norm for report in result.reports.values()]


def test_the_control_has_the_norms_of_cuts_and_its_own_direction(problem: Problem) -> None:
    one, control = (method(alpha=2.0, **SMALL).edit(problem()) for method in (Cuts, RandomTaskVector))
    assert norms(control) == pytest.approx(norms(one), rel=1e-12)
    other = RandomTaskVector(alpha=2.0, **SMALL).edit(problem(seed=2))
    assert norms(other) == pytest.approx(norms(one), rel=1e-12)
    for path, layer in problem().layers.items():
        moves = [(r.weights[path] - layer.weight.detach()).flatten() for r in (one, control, other)]  # type: ignore[operator]
        for a, b in ((0, 1), (0, 2), (1, 2)):
            assert abs(float(functional.cosine_similarity(moves[a], moves[b], dim=0))) < 0.3
    for path, weight in Cuts(alpha=2.0, **SMALL).edit(problem(seed=2)).weights.items():
        assert torch.equal(weight, one.weights[path])


@BOTH
def test_the_strength_is_a_factor_and_none_of_it_is_the_identity(problem: Problem, method: Any) -> None:
    context = problem()
    state = {key: value.clone() for key, value in context.model.state_dict().items()}
    before = torch.get_rng_state()
    nothing, weak, strong = (method(alpha=alpha, **SMALL).edit(context) for alpha in (0.0, 0.5, 2.0))
    assert all(torch.equal(weight, state[f"{path}.weight"]) for path, weight in nothing.weights.items())
    assert norms(strong) == pytest.approx([4 * norm for norm in norms(weak)], rel=1e-9) and min(norms(weak)) > 0
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(value, state[key]) for key, value in context.model.state_dict().items())


@BOTH
def test_what_is_matched_is_kept_to(problem: Problem, method: Any) -> None:
    context = problem()
    assert context.examples is not None
    x, y = context.examples().keep

    def loss(weights: Any) -> float:
        with torch.no_grad(), edited(context.model, weights):
            return float(functional.cross_entropy(context.model(x), y))

    result = method(match_loss=0.1, **SMALL).edit(replace(context, loss=loss))
    assert loss({}) < loss(result.weights) <= loss({}) + 0.1


def test_cuts_forgets_wrong_labels_sooner_than_its_control(problem: Problem) -> None:
    context = problem()
    assert context.examples is not None
    (x, y), (kept, labels) = context.examples().forget, context.examples().keep

    def losses(method: Any) -> list[float]:
        result = method(alpha=1.0, **{**SMALL, "epochs": 20}).edit(context)
        with torch.no_grad(), edited(context.model, result.weights):
            return [float(functional.cross_entropy(context.model(a), b)) for a, b in ((x, y), (kept, labels))]

    (forget, keep), (other, _) = losses(Cuts), losses(RandomTaskVector)
    assert forget > 5 * other and forget > 10 * keep


@BOTH
def test_a_transposed_layer_and_low_precision(problem: Problem, method: Any) -> None:
    plain, conv, low = problem(), problem(conv=True), problem(dtype=torch.float32)
    for path, weight in method(alpha=1.0, **SMALL).edit(plain).weights.items():
        torch.testing.assert_close(method(alpha=1.0, **SMALL).edit(conv).weights[path], weight, rtol=1e-9, atol=1e-11)
        assert method(alpha=1.0, **SMALL).edit(low).weights[path].dtype == torch.float32


@BOTH
def test_one_sentence_for_what_cannot_be_done(problem: Problem, method: Any) -> None:
    context, name = problem(), method.name
    assert context.examples is not None
    full = context.examples()
    for changed in (replace(context, examples=None), replace(context, examples=lambda: replace(full, proxy=None))):
        with pytest.raises(InputError, match=f"'{name}' needs a part of the training set, and these data have none"):
            method(alpha=1.0, **SMALL).edit(changed)
    with pytest.raises(ValidationError, match="exactly one of"):
        method(**SMALL)
    with pytest.raises(VitmemError, match=rf"^{name}: [^\n.]*(not finite|NaN or infinity)[^\n.]*lower lr$"):
        method(alpha=1.0, **{**SMALL, "lr": 1e200}).edit(context)
    context.layers["2"].weight.data[0, 0] = torch.nan  # type: ignore[union-attr, operator]
    with pytest.raises(VitmemError, match=r"^layer '2': NaN or infinity in its weight"):
        method(alpha=1.0, **SMALL).edit(context)
