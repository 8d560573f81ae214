"""The contract of edit methods: kept by every registered method, and noticed when it is broken."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from vitmem.contracts.edit import CLAUSES, check_method
from vitmem.edits.base import EditContext, EditResult
from vitmem.errors import InputError
from vitmem.kfac.edit import replaced
from vitmem.registry import EDITS

BUILT_IN = [entry.name for entry in EDITS.entries() if entry.name != "none"]
VARIANTS = [
    ("kfac", {"fraction": 0.3, "importance": name})
    for name in ("centered", "ckfac", "tkfac", "foof", "identity", "ekfac")
] + [
    ("kfac", {"match_loss": 0.1}),
    ("kfac_input", {"match_loss": 0.5, "centered": True}),
    ("protect", {"mass": 0.9, "second": {"held_out": True}, "rule": "mixture", "side": "both", "share": 0.2}),
    ("protect", {"mass": 0.9, "second": {"held_out": True}, "rule": "random"}),
    ("dial", {"after": {"method": "protect", "fraction": 0.3, "second": {"classes": [1]}}, "turn": 0.5}),
    ("random_basis", {"fraction": 0.3, "random": "input"}),
    ("random_basis", {"fraction": 0.3, "random": "output"}),
    ("singular_basis", {"fraction": 0.3, "side": "A"}),
    ("iterated", {"match_loss": 0.1, "rounds": 3}),
    ("iterated", {"mass": 0.9, "importance": "ekfac"}),
    ("svd", {"match_drop": 0.5}),
    ("band_removed", {"band": "25-50", "basis": "svd"}),
    ("relearn", {"after": {"method": "none"}, "steps": 3}),
    ("dial", {"after": {"method": "svd", "rank_fraction": 0.3}, "turn": 0.0}),
    ("relearn", {"after": {"method": "kfac", "fraction": 0.3, "importance": "ekfac"}, "steps": 3, "train_on": "right"}),
    ("relearn", {"after": {"method": "eu_k", "steps": 3}, "steps": 3, "classes": (0, 1)}),
]
Method = Callable[..., Any]


@pytest.mark.parametrize(("name", "params"), [*((name, {}) for name in BUILT_IN), *VARIANTS])
def test_the_contract_is_kept(name: str, params: dict[str, Any]) -> None:
    checks = check_method(name, params)
    assert [check.name for check in checks] == ["edits", *CLAUSES]
    assert [check for check in checks if not check.ok] == []


@pytest.fixture
def register() -> Iterator[Callable[[Method], str]]:
    """Register a plug-in for the length of a test; its name is returned."""
    names = []

    def add(function: Method) -> str:
        EDITS.register(function.__name__, summary="for this test")(function)
        names.append(function.__name__)
        return function.__name__

    yield add
    for name in names:
        EDITS.discard(name)


def result_of(context: EditContext, change: Callable[[torch.Tensor], torch.Tensor]) -> EditResult:
    result = EditResult()
    for path in context.layers:
        weight = context.weight(path)
        result.weights[path] = change(weight)
        result.reports[path] = replaced(weight, result.weights[path], 0, weight.numel(), 0.0)
    return result


def no_edit(context: EditContext) -> EditResult:
    return EditResult()


def no_seed(context: EditContext) -> EditResult:
    return result_of(context, lambda w: w + torch.randn(w.shape))


def writes(context: EditContext) -> EditResult:
    result = result_of(context, lambda w: w * 0.5)
    context.layers["0"].weight.data.mul_(0.5)  # type: ignore[union-attr, operator]
    return result


def wide(context: EditContext) -> EditResult:
    result = result_of(context, lambda w: w * 0.5)
    return replace(result, weights={path: weight.double() for path, weight in result.weights.items()})


def elsewhere(context: EditContext) -> EditResult:
    old = context.model[4].weight.detach()  # type: ignore[index, union-attr]
    return EditResult({"4": old / 2}, {"4": replaced(old, old / 2, 0, old.numel(), 0.0)})


def untrue(context: EditContext) -> EditResult:
    result = result_of(context, lambda w: w * 0.5)
    return replace(result, reports={p: replace(r, change_norm=0.0) for p, r in result.reports.items()})


def silent(context: EditContext) -> EditResult:
    return replace(result_of(context, lambda w: w * 0.5), reports={})


def trains(context: EditContext) -> EditResult:
    context.model.train()
    return result_of(context, lambda w: w * 0.5)


def careless(context: EditContext) -> EditResult:
    assert context.examples is not None, "no examples"
    return EditResult({path: layer.weight.detach() * 0.5 for path, layer in context.layers.items()})  # type: ignore[operator, union-attr]


@pytest.mark.parametrize(
    ("method", "clause", "detail"),
    [
        (no_edit, "something changes", "no weight has changed"),
        (no_seed, "the same seed gives the same weights", "two edits of one seed differ"),
        (no_seed, "torch's global generator is unchanged", "it changed torch's global generator"),
        (writes, "the model is unchanged", "it wrote to the model's own weights"),
        (trains, "the model is unchanged", "it left the model in training mode"),
        (wide, "new weights fit the layers that it is given", r"'0': expected torch\.float32, got torch\.float64"),
        (elsewhere, "new weights fit the layers that it is given", "it edits '4', which is not one of 0, 2"),
        (untrue, "each new weight has a correct report", r"'[02]': its norm changes by [\d.]+, not 0"),
        (silent, "each new weight has a correct report", r"reports of \[\], weights of \['0', '2'\]"),
        (careless, "without statistics and examples it works or says why", "AssertionError: no examples"),
        (careless, "NaN in a weight is reported or removed", "'2': NaN in a trained weight is passed on"),
    ],
)
def test_a_broken_clause_is_named(method: Method, clause: str, detail: str, register: Callable[[Method], str]) -> None:
    broken = {check.name: check.detail for check in check_method(register(method), {}) if not check.ok}
    assert re.search(detail, broken[clause]), broken


def test_what_does_not_edit_ends_the_list(register: Callable[[Method], str]) -> None:
    def nothing(context: EditContext) -> None: ...

    (check,) = check_method(register(nothing), {})
    assert (check.name, check.detail) == ("edits", "expected an EditResult, got NoneType")


def test_unknown_names_and_parameters() -> None:
    with pytest.raises(InputError, match="did you mean 'scrub'"):
        check_method("scrup", {})
    with pytest.raises(InputError, match="exactly one of 'mass', 'fraction'"):
        check_method("kfac", {"side": "A"})
