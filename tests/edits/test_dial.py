"""A share of what an edit removed is put back: by hand in float64, at both ends exactly, biases too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from vitmem.edits.base import EditContext
from vitmem.edits.dial import Dial
from vitmem.edits.head_refit import HeadRefit
from vitmem.edits.svd import Svd
from vitmem.errors import InputError
from vitmem.kfac import weight_matrix
from vitmem.registry import EDITS, edit_of

Problem = Callable[..., EditContext]
SVD = {"method": "svd", "rank_fraction": 0.5}


@pytest.mark.parametrize("turn", [0.25, 0.8])
def test_it_is_in_between(problem: Problem, turn: float) -> None:
    context = problem()
    inner, result = Svd(rank_fraction=0.5).edit(context), Dial(after=SVD, turn=turn).edit(context)
    assert result.weights.keys() == result.reports.keys() == context.layers.keys()
    for path, layer in context.layers.items():
        old, new = weight_matrix(layer).double(), inner.weights[path].double()
        expected = new + turn * (old - new)
        torch.testing.assert_close(result.weights[path].double(), expected)
        change = (1 - turn) * inner.reports[path].change_norm
        assert result.reports[path].change_norm == pytest.approx(change, rel=1e-5)
        assert inner.reports[path].kept_pairs < result.reports[path].kept_pairs < result.reports[path].total_pairs


def test_the_ends_are_exact(problem: Problem) -> None:
    context = problem()
    inner = Svd(rank_fraction=0.5).edit(context)
    edited, restored = (Dial(after=SVD, turn=turn).edit(context).weights for turn in (0.0, 1.0))
    for path, layer in context.layers.items():
        assert torch.equal(edited[path], inner.weights[path])
        assert torch.equal(restored[path], weight_matrix(layer))


def test_a_bias_goes_with_its_weight(problem: Problem) -> None:
    context = problem()
    refit = HeadRefit().edit(context)
    (path,) = refit.reports
    half = Dial(after={"method": "head_refit"}, turn=0.5).edit(context).weights
    assert half.keys() == {path, f"{path}.bias"}
    old = context.model.get_submodule(path).bias
    torch.testing.assert_close(half[f"{path}.bias"], (old.detach() + refit.weights[f"{path}.bias"]) / 2)  # type: ignore[operator, union-attr]


def test_parameters_and_what_it_is_told() -> None:
    entry = EDITS.get("dial")
    with pytest.raises(InputError, match="less than or equal to 1"):
        entry.parse({"after": SVD, "turn": 1.5}, "edit")
    with pytest.raises(InputError, match="expected an edit without an inner edit"):
        entry.parse({"after": {"method": "dial", "after": SVD}}, "edit")
    inner = (SVD, {"method": "kfac", "fraction": 0.5}, {"method": "eu_k"})
    given = [edit_of({"method": "dial", "after": edit}).information for edit in inner]
    assert given == ["data-free", "unlabelled", "trusted"]
