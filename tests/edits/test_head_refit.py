"""The classifier that is fitted anew: the minimum it should be at, what it changes, what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from vitmem.edits.base import EditContext, Examples
from vitmem.edits.head_refit import HeadRefit, regression
from vitmem.errors import InputError, VitmemError
from vitmem.kfac import edited

Problem = Callable[..., EditContext]


def examples(context: EditContext) -> Examples:
    assert context.examples is not None
    return context.examples()


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("c", [0.03, 10.0])
def test_the_regression_is_at_the_minimum_of_the_written_objective(classes: int, intercept: bool, c: float) -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(40, 6)) + 1, rng.integers(classes, size=40)
    weight, bias = (torch.tensor(v, requires_grad=True) for v in regression(features, labels, c, intercept=intercept))
    assert weight.shape == (classes, 6) and bias.shape == (classes,)
    logits = torch.from_numpy(features) @ weight.T + bias
    loss = functional.cross_entropy(logits, torch.from_numpy(labels), reduction="sum")
    (weight.square().sum() / 2 + c * loss).backward()
    assert weight.grad is not None and bias.grad is not None
    assert float(weight.grad.abs().max()) < 1e-3 * max(c, 1)
    if intercept:
        assert float(bias.grad.abs().max()) < 1e-3 * max(c, 1)
    else:
        assert not bias.any()


def test_it_is_fitted_on_what_enters_the_classifier_and_written_into_it(problem: Problem) -> None:
    context = problem()
    x, y = examples(context).keep
    before = {key: value.clone() for key, value in context.model.state_dict().items()}
    context.model.train()
    result = HeadRefit(c=0.5).edit(context)
    assert context.model.training
    assert result.weights.keys() == {"4", "4.bias"} and result.reports.keys() == {"4"}
    with torch.no_grad():
        features = context.model[:4](x)  # type: ignore[index]
    weight, bias = (torch.from_numpy(v.copy()) for v in regression(features.numpy(), y.numpy(), 0.5))
    logits = features @ weight.T + bias
    with edited(context.model, result.weights), torch.no_grad():
        torch.testing.assert_close(context.model(x), logits, rtol=1e-12, atol=1e-12)
    assert all(torch.equal(value, before[key]) for key, value in context.model.state_dict().items())
    changed = (weight - before["4.weight"]).norm()
    assert result.reports["4"].change_norm == pytest.approx(float(changed))


def test_a_strong_penalty_forgets_what_needs_large_weights(problem: Problem) -> None:
    context = problem()

    def said(c: float) -> tuple[float, float]:
        with edited(context.model, HeadRefit(c=c).edit(context).weights), torch.no_grad():
            found = [context.model(x).argmax(1) == y for x, y in (examples(context).forget, examples(context).keep)]
        return float(found[0].double().mean()), float(found[1].double().mean())

    forget, keep = said(1e-3)
    assert forget <= 0.6 and keep >= 0.85, (forget, keep)  # 1 and 1 before


def test_a_classifier_without_a_bias_gets_none(problem: Problem) -> None:
    context = problem()
    context.model[4] = nn.Linear(16, 3, bias=False).double()  # type: ignore[operator]
    assert HeadRefit().edit(context).weights.keys() == {"4"}


@pytest.mark.filterwarnings("error")
def test_no_array_that_cannot_be_written_to_becomes_a_tensor(problem: Problem) -> None:
    for values in regression(np.eye(6)[np.arange(12) % 6], np.arange(12) % 3, 1.0):
        assert values.flags.writeable
    HeadRefit().edit(problem())


def test_what_is_to_be_forgotten_is_not_looked_at(problem: Problem) -> None:
    one, other = HeadRefit().edit(problem(forget=0)), HeadRefit().edit(problem())
    assert all(torch.equal(weight, other.weights[path]) for path, weight in one.weights.items())
    assert one.passes == 0


def test_low_precision_stays_so(problem: Problem) -> None:
    context = problem(dtype=torch.float32)
    context.model.to(torch.bfloat16)
    plain = examples(context)
    low = replace(plain, keep=(plain.keep[0].bfloat16(), plain.keep[1]))
    result = HeadRefit().edit(replace(context, examples=lambda: low))
    assert {weight.dtype for weight in result.weights.values()} == {torch.bfloat16}


def test_what_cannot_be_fitted_is_one_sentence(problem: Problem) -> None:
    context, plain = problem(), examples(problem())
    (x, y) = plain.keep
    some = y != 1
    for changed, says in (
        (replace(plain, keep=(x[:0], y[:0])), "has no example to keep"),
        (replace(plain, keep=(x[some], y[some])), "needs examples to keep of every class, and class 1 has none"),
        (replace(plain, logits=lambda call, a, b: call(a) * 2), "needs a classifier, whose logits are the output of"),
        (replace(plain, logits=None), "needs the logits of examples"),
    ):
        with pytest.raises(InputError, match=f"'head_refit' {says}"):
            HeadRefit().edit(replace(context, examples=lambda changed=changed: changed))
    broken = replace(plain, keep=(x * torch.nan, y))
    with pytest.raises(VitmemError, match=r"^head_refit: NaN or infinity in the features"):
        HeadRefit().edit(replace(context, examples=lambda: broken))
