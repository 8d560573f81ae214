"""Means, t intervals and groups over seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from scipy import stats

from vitmem.errors import InputError
from vitmem.reports.aggregate import Estimate, at, by_training, difference, estimate, group_rows, kept_share

Row = dict[str, Any]


def test_estimate() -> None:
    assert estimate([]) is None
    assert estimate([0.5]) == Estimate(0.5, None, 1)
    two = estimate([0.9, 0.8])  # two values, not an interval of 12.7 standard errors
    assert two is not None and two.half is None and two.pair == (0.8, 0.9)
    assert (two.mean, two.n) == (pytest.approx(0.85), 2)
    values = [0.1, 0.4, 0.35, 0.8, 0.2]
    low, high = stats.t.interval(0.95, 4, loc=sum(values) / 5, scale=stats.sem(values))
    five = estimate(values)
    assert five is not None and five.half is not None
    assert five.half == pytest.approx((high - low) / 2, rel=1e-9)


def test_groups(toy: list[Row]) -> None:
    groups = group_rows(toy)
    assert len(groups) == 6 and all(sorted(g.rows) == [0, 1] for g in groups)
    (training,) = by_training(groups)
    assert training.base is not None and len(training.edits) == 5
    svd = next(g for g in training.edits if g.method == "svd")
    assert svd.values(at("metrics", "memorized")) == {0: 0.6, 1: 0.8}
    assert svd.values(at("metrics", "absent")) == {}
    fall = difference(training.base, svd, at("metrics", "memorized"))  # .2 and .1
    assert fall is not None and fall.mean == pytest.approx(0.15) and fall.n == 2
    assert svd.estimate(kept_share) == Estimate(0.005, None, 2, (0.005, 0.005))
    assert training.base.estimate(kept_share) is None


def test_differences_are_paired(toy: list[Row]) -> None:
    rows = [r for r in toy if not (r["config"]["edit"]["method"] == "svd" and r["config"]["seed"] == 0)]
    (training,) = by_training(group_rows(rows))
    assert training.base is not None
    svd = next(g for g in training.edits if g.method == "svd")
    fall = difference(training.base, svd, at("metrics", "memorized"))
    assert fall is not None and fall.half is None and fall.mean == pytest.approx(0.1)


def test_failed_rows_are_left_out(toy: list[Row], make_row: Callable[..., Row]) -> None:
    failed = make_row(2, {"method": "none"}, report=(0, 0), selection=(0, 0), status="failed")
    assert len(group_rows([*toy, failed])[0].rows) == 2


def test_same_cell_twice(toy: list[Row]) -> None:
    with pytest.raises(InputError, match="rows 0-none and newer of suite 'toy' are the same cell; delete"):
        group_rows([*toy, {**toy[0], "id": "newer"}])
