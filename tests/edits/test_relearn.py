"""Training on after another edit: each step by hand in float64, what is put back, and what it is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vitmem.edits.base import EditContext, EditResult
from vitmem.edits.eu_k import EuK
from vitmem.edits.relearn import Relearn
from vitmem.edits.svd import Svd
from vitmem.errors import InputError, VitmemError
from vitmem.kfac import edited
from vitmem.registry import EDITS, edit_of

Problem = Callable[..., EditContext]
Walk = Callable[..., dict[str, Tensor]]
Pairs = Callable[[EditContext], tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]]
Same = Callable[[EditResult, dict[str, Tensor]], None]
ALL = 60  # all examples there are: every step sees each of them
HALF = {"method": "uniform_scaling", "factor": 0.5}
NOTHING = {"method": "none"}


@pytest.mark.parametrize(("on", "classes"), [("given", None), ("right", None), ("given", (1, 2))])
def test_each_step_by_hand(
    problem: Problem, walk: Walk, pairs: Pairs, same: Same, on: Any, classes: tuple[int, ...] | None
) -> None:
    context = problem()
    (x, y), (kept, labels) = pairs(context)
    back = torch.tensor([on == "given" and (classes is None or int(label) in classes) for label in y])
    inputs, given = torch.cat([kept, x[back]]), torch.cat([labels, y[back]])

    def loss(net: Any) -> Tensor:
        return functional.cross_entropy(net(inputs), given)

    start = [layer.weight.detach() / 2 for layer in context.layers.values()]  # type: ignore[union-attr, operator]
    result = Relearn(after=HALF, steps=3, lr=0.2, batch_size=ALL, train_on=on, classes=classes).edit(context)
    same(result, walk(context, [loss] * 3, [0.2] * 3, start))
    assert result.passes == pytest.approx(3)
    for path, layer in context.layers.items():  # the report is of the whole change
        change = (result.weights[path] - layer.weight.detach()).norm()  # type: ignore[operator]
        assert result.reports[path].change_norm == pytest.approx(float(change))


def test_fewer_steps_are_the_beginning_of_more(problem: Problem, walk: Walk, pairs: Pairs, same: Same) -> None:
    context = problem()
    (x, y), (kept, labels) = pairs(context)
    inputs, given = torch.cat([kept, x]), torch.cat([labels, y])
    generator = torch.Generator().manual_seed(context.seed)
    drawn = [rows for _ in range(2) for rows in torch.randperm(60, generator=generator).split(25)]  # 25, 25, 10 twice
    losses = [lambda net, r=rows: functional.cross_entropy(net(inputs[r]), given[r]) for rows in drawn]
    for steps in (2, 5):
        result = Relearn(after=NOTHING, steps=steps, lr=0.1, batch_size=25).edit(context)
        same(result, walk(context, losses[:steps], [0.1] * steps))


def test_no_edit_before_it_is_training_on(problem: Problem, walk: Walk, pairs: Pairs, same: Same) -> None:
    context = problem()
    (x, y), (kept, labels) = pairs(context)

    def loss(net: Any) -> Tensor:
        return functional.cross_entropy(net(torch.cat([kept, x])), torch.cat([labels, y]))

    same(Relearn(after=NOTHING, steps=2, lr=0.1, batch_size=ALL).edit(context), walk(context, [loss, loss], [0.1, 0.1]))


def test_it_begins_where_the_inner_edit_ends_when_it_stands_alone(problem: Problem) -> None:
    context = replace(problem(), seed_of=lambda method: len(method))
    alone = EuK(steps=2).edit(replace(context, seed=len("eu_k")))
    still = Relearn(after={"method": "eu_k", "steps": 2}, steps=1, lr=1e-14).edit(context)
    for path, weight in alone.weights.items():
        torch.testing.assert_close(still.weights[path], weight, rtol=0, atol=1e-12)
    assert still.passes > alone.passes > 0


def test_memory_that_an_edit_took_comes_back_along_one_curve(problem: Problem, pairs: Pairs) -> None:
    context, edit = problem(), {"method": "svd", "rank_fraction": 0.2}
    (x, y), _ = pairs(context)

    def forget_loss(weights: dict[str, Tensor]) -> float:
        with torch.no_grad(), edited(context.model, weights):
            return float(functional.cross_entropy(context.model(x), y))

    losses = [forget_loss(Svd(rank_fraction=0.2).edit(context).weights)]
    assert losses[0] > 2 * forget_loss({})
    for steps in (10, 30):
        losses.append(forget_loss(Relearn(after=edit, steps=steps, lr=0.03).edit(context).weights))
    assert losses[0] > losses[1] > losses[2] and losses[2] < 0.5 * losses[0]
    # what is put back is what falls: plain training leaves the loss of what it never sees far above
    assert forget_loss(Relearn(after=edit, steps=30, lr=0.03, train_on="right").edit(context).weights) > 2 * losses[2]


def test_what_the_inner_edit_changes_elsewhere_stays(problem: Problem) -> None:
    result = Relearn(after={"method": "head_refit"}, steps=1).edit(problem())
    head = EDITS.get("head_refit")().edit(replace(problem(), layers={}))
    assert result.weights.keys() == {"0", "2", *head.weights}
    for path, weight in head.weights.items():
        assert torch.equal(result.weights[path], weight)


def test_the_model_is_left_as_it_was_when_it_diverges(problem: Problem) -> None:
    context = problem()
    before = {key: value.clone() for key, value in context.model.state_dict().items()}
    with pytest.raises(VitmemError, match="relearn: the loss is not finite; lower lr"):
        Relearn(after=HALF, steps=50, lr=1e9).edit(context)
    assert all(torch.equal(value, before[key]) for key, value in context.model.state_dict().items())


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({}, "'after': field required"),
        ({"after": "kfac"}, "'after': input should be a mapping"),
        ({"after": {"fraction": 0.1}}, "expected an edit such as"),
        ({"after": {"method": "kfca", "fraction": 0.1}}, "did you mean 'kfac'"),
        ({"after": {"method": "kfac", "fracton": 0.1}}, "did you mean 'fraction'"),
        ({"after": {"method": "kfac", "fraction": 0.1, "blocks": "all"}}, "unknown key 'blocks'"),
        ({"after": {"method": "kfac"}}, "exactly one of"),
        ({"after": {"method": "relearn", "after": NOTHING}}, "expected an edit without an inner edit"),
        ({"after": NOTHING, "steps": 0}, "'steps': input should be greater than 0"),
        ({"after": NOTHING, "classes": []}, "'classes'"),
        ({"after": NOTHING, "train_on": "right", "classes": [1]}, "uses none"),
    ],
)
def test_bad_parameters_are_a_sentence(params: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        EDITS.get("relearn").parse(params, "edits")
    assert "\n" not in str(error.value)


def test_what_cannot_be_put_back_is_said(problem: Problem) -> None:
    with pytest.raises(InputError, match="none of the 12 known examples to forget is given class 7"):
        Relearn(after=HALF, classes=(7,)).edit(problem())
    with pytest.raises(InputError, match="'relearn' has no example to forget"):
        Relearn(after=HALF).edit(problem(forget=0))


def test_statistics_are_those_of_the_inner_edit() -> None:
    for name, reads in (("kfac", True), ("sap", True), ("svd", False), ("none", False)):
        edit = edit_of({"method": "relearn", "after": {"method": name, **EDITS.get(name).example}})
        assert (edit.needs is not None) == reads
