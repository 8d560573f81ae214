"""What every registered edit that needs no examples to forget keeps to, at no strength, matched, on bad weights."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from vitmem.adapters.vision import VisionTask
from vitmem.edits.base import ByStrength, EditContext, EditResult
from vitmem.entries import Edit
from vitmem.errors import VitmemError
from vitmem.kfac import Factors, edited, find_layers, fit
from vitmem.registry import EDITS

EDITS_TO_TRY = [
    e
    for e in EDITS.entries()
    # a probe and an ablation have no strength at which they change nothing
    if e.name not in ("none", "ablate")
    and e.uses in ("data-free", "unlabelled", "noisy labels")
    and e.role != "diagnostic"
]
# A strong edit in a method's own measure, where that is not a share.
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


def own_strength(entry: type[Edit]) -> str:
    """Return the name of the strength in the method's own measure."""
    assert set(entry.exactly_one) >= {"match_drop", "match_loss"}
    return entry.exactly_one[0]


def run(entry: type[Edit], context: EditContext, **strength: float) -> EditResult:
    """Edit at a strength, with a second set of statistics where one is asked for."""
    second = {key: value for key, value in entry.example.items() if key == "second"}
    result: EditResult = entry.parse({**second, **strength}, "edit").edit(context)
    return result


def _at_no_strength(entry: type[Edit]) -> Edit:
    edit = entry.parse(entry.example, "edit")
    assert isinstance(edit, ByStrength)
    return edit.at(1.0)


@pytest.mark.parametrize("entry", EDITS_TO_TRY, ids=lambda entry: entry.name)
def test_no_strength_is_the_identity_bit_for_bit_and_a_strong_edit_is_none(
    entry: type[Edit], context: EditContext
) -> None:
    name = own_strength(entry)
    nothing = _at_no_strength(entry).edit(context)
    strong = run(entry, context, **{name: STRONG.get(name, 0.3)})
    for path, layer in context.layers.items():
        assert torch.equal(nothing.weights[path], layer.weight)
        assert nothing.reports[path].change_norm == 0
        assert not torch.equal(strong.weights[path], layer.weight)
        assert strong.weights[path].dtype == layer.weight.dtype
        expected = float((strong.weights[path].double() - layer.weight.double()).norm())
        assert strong.reports[path].change_norm == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("entry", EDITS_TO_TRY, ids=lambda entry: entry.name)
def test_what_is_matched_is_kept_to(entry: type[Edit], context: EditContext) -> None:
    assert context.loss is not None and context.evaluate is not None
    allowed = 2.0 if entry.name in COARSE else 0.1
    by_loss = run(entry, context, match_loss=allowed)
    assert context.loss(by_loss.weights) <= context.loss({}) + allowed
    if entry.name != "complement":  # it loses more than that until it keeps everything
        assert not torch.equal(by_loss.weights["0"], context.layers["0"].weight)
    assert context.evaluate(run(entry, context, match_drop=0.1).weights) >= 0.9


@pytest.mark.parametrize("entry", EDITS_TO_TRY, ids=lambda entry: entry.name)
def test_a_weight_that_is_not_finite_is_named_in_a_sentence(entry: type[Edit], context: EditContext) -> None:
    context.layers["2"].weight.data[0, 0] = float("nan")  # type: ignore[union-attr, operator]
    with pytest.raises(VitmemError, match=r"^layer '2': NaN or infinity in its weight; [^\n.]*\?$"):
        run(entry, context, **{own_strength(entry): STRONG.get(own_strength(entry), 0.3)})
