"""The methods that train the edited layers: each step by hand, in float64, with autograd on the whole model."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vitmem.edits.base import EditContext, EditResult
from vitmem.edits.finetune import Finetune
from vitmem.edits.neggrad_plus import NegGradPlus
from vitmem.edits.salun import SalUn, random_relabel, top_gradient_mask
from vitmem.edits.scrub import Scrub, divergence
from vitmem.edits.ssd import Ssd, squared_gradients
from vitmem.kfac import edited

Problem = Callable[..., EditContext]
Walk = Callable[..., dict[str, Tensor]]
Pairs = Callable[[EditContext], tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]]
Same = Callable[[EditResult, dict[str, Tensor]], None]
PATHS = ("0", "2")
ALL = 60  # more than there are examples: every step sees all of them


@pytest.mark.parametrize("cap", [None, 0.01])
def test_neggrad_plus(problem: Problem, walk: Walk, cap: float | None, pairs: Pairs, same: Same) -> None:
    context = problem()
    (x, y), (kept, labels) = pairs(context)

    def loss(net: Any) -> Tensor:
        forget = functional.cross_entropy(net(x), y, reduction="none")
        return 0.8 * functional.cross_entropy(net(kept), labels) - 0.2 * forget.clamp_max(cap or torch.inf).mean()

    result = NegGradPlus(alpha=0.8, epochs=2, lr=0.1, batch_size=ALL, cap=cap).edit(context)
    same(result, walk(context, [loss, loss], [0.1, 0.1]))
    assert result.passes == 2


def test_finetune_falls_to_zero(problem: Problem, walk: Walk, pairs: Pairs, same: Same) -> None:
    context = problem()
    _, (kept, labels) = pairs(context)

    def loss(net: Any) -> Tensor:
        return functional.cross_entropy(net(kept), labels)

    result = Finetune(steps=4, lr=0.2, batch_size=ALL).edit(context)
    same(result, walk(context, [loss] * 4, [0.2, 0.15, 0.1, 0.05]))
    assert result.passes == 4


def test_scrub_goes_up_and_then_down(problem: Problem, walk: Walk, pairs: Pairs, same: Same) -> None:
    context = problem()
    (x, _), (kept, labels) = pairs(context)
    teacher, tau = copy.deepcopy(context.model), 2.0

    def away(net: Any, inputs: Tensor) -> Tensor:
        p, q = (functional.softmax(m(inputs) / tau, dim=1) for m in (teacher, net))
        return tau**2 * (p.detach() * (p.detach() / q).log()).sum(1).mean()

    def down(net: Any) -> Tensor:
        return 0.9 * functional.cross_entropy(net(kept), labels) + 0.3 * away(net, kept)

    def up(net: Any) -> Tensor:
        return -away(net, x)

    options = {"alpha": 0.3, "gamma": 0.9, "tau": tau, "lr": 0.1, "batch_size": ALL, "forget_batch_size": ALL}
    result = Scrub(ascent_epochs=2, epochs=4, **options).edit(context)
    # after the third epoch the learning rate is a tenth
    same(result, walk(context, [up, down, up, down, down, down], [0.1] * 5 + [0.01]))
    assert result.passes == pytest.approx((2 * len(x) + 4 * len(kept)) / (len(x) + len(kept)))


def test_divergence_is_that_of_numpy() -> None:
    teacher, student = np.random.default_rng(0).normal(size=(2, 5, 4))
    p, q = (np.exp(z / 3) / np.exp(z / 3).sum(1, keepdims=True) for z in (teacher, student))
    found = divergence(torch.tensor(teacher), torch.tensor(student), 3.0)
    assert float(found) == pytest.approx(9 * (p * np.log(p / q)).sum(1).mean(), rel=1e-12)


@pytest.mark.parametrize("batch_size", [1, 5, 60])
def test_ssd_is_a_loop_over_single_examples(problem: Problem, batch_size: int, pairs: Pairs) -> None:
    context, alpha, dampening = problem(), 1.5, 0.7
    weights = [context.layers[path].weight for path in PATHS]
    importance = []
    for inputs, labels in pairs(context):
        total = [np.zeros(tuple(w.shape)) for w in weights]  # type: ignore[arg-type]
        for x, y in zip(inputs, labels, strict=True):
            loss = functional.cross_entropy(context.model(x[None]), y[None])
            for t, g in zip(total, torch.autograd.grad(loss, weights), strict=True):  # type: ignore[arg-type]
                t += g.numpy() ** 2
        importance.append([t / len(inputs) for t in total])
    result = Ssd(alpha=alpha, dampening=dampening, batch_size=batch_size).edit(context)
    for n, path in enumerate(PATHS):
        expected, changed = weights[n].detach().numpy().copy(), 0  # type: ignore[union-attr, operator]
        for place, value in np.ndenumerate(expected):
            forget, keep = (i[n][place] for i in importance)
            if forget > alpha * keep:
                expected[place] = value * min(dampening * keep / forget, 1)
                changed += 1
        assert 0 < changed < expected.size
        np.testing.assert_allclose(result.weights[path].numpy(), expected, rtol=1e-10)
        assert result.reports[path].kept_pairs == expected.size - changed
    assert result.passes == 1


def test_adaptive_ssd_dampens_the_share_that_there_is_to_forget(problem: Problem, pairs: Pairs) -> None:
    context = problem()
    result = Ssd(alpha="adaptive").edit(context)
    (known, _), (kept, _) = pairs(context)
    forget, keep = (squared_gradients(context, context.examples(), pair, 8) for pair in pairs(context))
    ratios = [forget[path] / keep[path] for path in PATHS]
    every = np.sort(torch.cat([r.flatten() for r in ratios]).numpy())
    share = len(known) / (len(known) + len(kept))
    expected = round((len(every) - 1) * np.log(1 + 100 * share) / 100)
    changed = len(every) - sum(report.kept_pairs for report in result.reports.values())
    assert changed == pytest.approx(expected, abs=1) and 0 < changed < len(every) / 10


def test_salun_trains_the_weights_of_the_largest_gradients_and_no_other(problem: Problem, pairs: Pairs) -> None:
    context = problem()
    (x, y), _ = pairs(context)
    weights = [context.layers[path].weight for path in PATHS]
    loss = functional.cross_entropy(context.model(x), y, reduction="sum")
    size = np.concatenate([g.abs().numpy().ravel() for g in torch.autograd.grad(loss, weights)])  # type: ignore[arg-type]
    count = int(0.3 * size.size)
    trained = np.zeros(size.size, dtype=bool)
    trained[np.argsort(-size, kind="stable")[:count]] = True
    result = SalUn(ratio=0.3, epochs=3, lr=0.05, batch_size=10).edit(context)
    new = np.concatenate([result.weights[path].numpy().ravel() for path in PATHS])
    old = np.concatenate([w.detach().numpy().ravel() for w in weights])  # type: ignore[union-attr, operator]
    np.testing.assert_array_equal(new[~trained], old[~trained])
    assert (new[trained] != old[trained]).all()
    assert sum(report.kept_pairs for report in result.reports.values()) == size.size - count


def test_salun_by_hand(problem: Problem, walk: Walk, pairs: Pairs, same: Same) -> None:
    context = problem()
    (x, y), (kept, labels) = pairs(context)
    generator = torch.Generator().manual_seed(context.seed)
    drawn = random_relabel(y, 3, generator)
    steps = [
        lambda net: functional.cross_entropy(net(x), drawn),
        lambda net: functional.cross_entropy(net(kept), labels),
    ]
    same(SalUn(ratio=1.0, epochs=1, lr=0.1, batch_size=ALL).edit(context), walk(context, steps, [0.1, 0.1]))


def test_random_labels_leave_out_what_is_not_predicted() -> None:
    labels = torch.tensor([[-100, 3, 4], [5, -100, 1]]).repeat(200, 1)
    drawn = random_relabel(labels, 7, torch.Generator().manual_seed(0))
    assert torch.equal(drawn < 0, labels < 0)
    assert drawn[labels >= 0].unique().tolist() == list(range(7))


def test_the_largest_are_taken_over_all_layers() -> None:
    values = {"a": torch.tensor([[1.0, 9.0], [3.0, 4.0]]), "b": torch.tensor([[8.0, 2.0, 7.0]])}
    masks = top_gradient_mask(values, 0.43)  # 3 of 7
    assert masks["a"].tolist() == [[False, True], [False, False]] and masks["b"].tolist() == [[True, False, True]]


@pytest.mark.parametrize("method", [NegGradPlus, Scrub, Ssd, SalUn, Finetune])
def test_a_transposed_layer_is_edited_alike(problem: Problem, method: Any) -> None:
    plain, conv = (method(**({"steps": 3} if method is Finetune else {})).edit(problem(conv)) for conv in (False, True))
    for path, weight in plain.weights.items():
        assert not torch.equal(weight, problem().layers[path].weight)  # type: ignore[arg-type]
        torch.testing.assert_close(conv.weights[path], weight, rtol=1e-10, atol=1e-12)


def test_scores_of_the_published_loss_need_logits(problem: Problem) -> None:
    context = problem()
    assert context.examples is not None
    bare = replace(context.examples(), logits=None)
    for method in (Scrub, SalUn):
        with pytest.raises(Exception, match="needs the logits of examples"):
            method().edit(replace(context, examples=lambda: bare))


def test_an_edit_can_be_put_in_and_taken_out(problem: Problem, pairs: Pairs) -> None:
    context = problem()
    result = NegGradPlus(lr=0.05).edit(context)
    (x, _), _ = pairs(context)
    before = context.model(x)
    with edited(context.model, result.weights):
        assert not torch.equal(context.model(x), before)
    assert torch.equal(context.model(x), before)
