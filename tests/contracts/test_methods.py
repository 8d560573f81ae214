"""What every registered edit that needs no examples to forget keeps to, at no strength, matched, on bad weights."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn

import vitmem.catalogue
from vitmem.adapters.vision import VisionTask
from vitmem.errors import VitmemError
from vitmem.kfac import Factors, edited, find_layers, fit
from vitmem.methods.base import EditContext
from vitmem.registry import METHODS, Entry

assert vitmem.catalogue  # registers the built-in entries
METHODS_TO_TRY = [
    e
    for e in METHODS.entries()
    # a probe and an ablation have no strength at which they change nothing
    if e.name not in ("none", "ablate") and e.info["input_class"] in ("D0", "U", "N") and not e.info["probe"]
]
# The strength in a method's own measure at which nothing changes, where that is not a share of 1; and a strong one.
NOTHING = {"edge": 0.0, "alpha": math.inf, "relative_norm": 0.0}
STRONG = {"edge": 2.0, "alpha": 10.0, "relative_norm": 0.5}

# Methods that take out whole directions of the nine inputs, or rank what is no basis of the inputs: each costs much.
COARSE = ("kfac_input", "protect", "singular_basis")


@pytest.fixture
def context() -> EditContext:
    """A network whose two hidden layers are edited, with a selection half."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(9, 12), nn.Tanh(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 3))
        untrained = copy.deepcopy(net)
        for parameter in net.parameters():
            parameter.data.mul_(4)
        x = torch.randn(60, 9)
    given = net(x).argmax(1)

    def statistics() -> Factors:
        return fit(net, find_layers(net, ["*"]), VisionTask("all", 0), [(x, given)], seed=0, moments="coupled")

    def loss(weights: Any) -> float:
        with torch.no_grad(), edited(net, weights):
            return float(nn.functional.cross_entropy(net(x), given))

    def accuracy(weights: Any) -> float:
        with torch.no_grad(), edited(net, weights):
            return float((net(x).argmax(1) == given).double().mean())

    layers = find_layers(net, ["0", "2"])
    return EditContext(
        net,
        layers,
        statistics(),
        seed=1,
        evaluate=accuracy,
        loss=loss,
        initial=lambda: untrained,
        recollect=statistics,
        second=fit(net, layers, VisionTask("all", 0), [(x[:20] + 1, given[:20])], seed=0),
    )


def own_strength(entry: Entry) -> str:
    """Return the name of the strength in the method's own measure: the first of its rules."""
    rules: tuple[str, ...] = entry.params.rules  # type: ignore[attr-defined]
    assert set(rules) >= {"match_drop", "match_loss"}
    return rules[0]


@pytest.mark.parametrize("entry", METHODS_TO_TRY, ids=lambda entry: entry.name)
def test_no_strength_is_the_identity_bit_for_bit_and_a_strong_edit_is_none(entry: Entry, context: EditContext) -> None:
    name = own_strength(entry)
    nothing = entry.load()(context, **{name: NOTHING.get(name, 1.0)})
    strong = entry.load()(context, **{name: STRONG.get(name, 0.3)})
    for path, layer in context.layers.items():
        assert torch.equal(nothing.weights[path], layer.weight)
        assert nothing.reports[path].change_norm == 0
        assert not torch.equal(strong.weights[path], layer.weight)
        assert strong.weights[path].dtype == layer.weight.dtype
        expected = float((strong.weights[path].double() - layer.weight.double()).norm())
        assert strong.reports[path].change_norm == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("entry", METHODS_TO_TRY, ids=lambda entry: entry.name)
def test_what_is_matched_is_kept_to(entry: Entry, context: EditContext) -> None:
    assert context.loss is not None and context.evaluate is not None
    allowed = 2.0 if entry.name in COARSE else 0.1
    by_loss = entry.load()(context, match_loss=allowed)
    assert context.loss(by_loss.weights) <= context.loss({}) + allowed
    if entry.name != "complement":  # it loses more than that until it keeps everything
        assert not torch.equal(by_loss.weights["0"], context.layers["0"].weight)
    assert context.evaluate(entry.load()(context, match_drop=0.1).weights) >= 0.9


@pytest.mark.parametrize("entry", METHODS_TO_TRY, ids=lambda entry: entry.name)
def test_a_weight_that_is_not_finite_is_named_in_a_sentence(entry: Entry, context: EditContext) -> None:
    context.layers["2"].weight.data[0, 0] = float("nan")  # type: ignore[union-attr, operator]
    with pytest.raises(VitmemError, match=r"^layer '2': NaN or infinity in its weight; [^\n.]*\?$"):
        entry.load()(context, **{own_strength(entry): STRONG.get(own_strength(entry), 0.3)})
