"""Paired tests and fronts against values found by hand or another way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_rel

from vitmem.errors import InputError
from vitmem.outcomes import packed
from vitmem.reports.aggregate import Estimate, group_rows
from vitmem.reports.front import hypervolume, undominated
from vitmem.reports.paired import compare, detectable, holm, interval, mcnemar
from vitmem.reports.tables import render_tables

Row = dict[str, Any]


def hits(*counts: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two methods' hits: so many items by both, by the first alone, by the second alone, by none."""
    return tuple(np.repeat(np.array(bits, bool), counts) for bits in ([1, 1, 0, 0], [1, 0, 1, 0]))


def test_mcnemar_is_a_sign_test_on_what_changed() -> None:
    assert mcnemar(1, 9) == pytest.approx(2 * (1 + 10) / 2**10)
    assert mcnemar(4, 4) == 1 == mcnemar(0, 0)


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.5]) == [1, 1] and holm([]) == []


def test_the_interval_of_one_seed_is_that_of_drawing_items() -> None:
    one, two = hits(30, 5, 20, 45)
    rng = np.random.default_rng(1)
    change = one.astype(float) - two
    drawn = change[rng.integers(len(change), size=(20000, len(change)))].mean(1)
    assert interval([(one, two)], resamples=20000) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.011)


def test_seeds_that_differ_widen_the_interval() -> None:
    alike = [hits(30, 10, 20, 40)] * 3
    apart = [hits(30, 0, 40, 30), hits(30, 10, 20, 40), hits(30, 20, 0, 50)]
    narrow, wide = (high - low for low, high in (interval(alike), interval(apart)))
    assert wide > 2 * narrow


def test_a_comparison_over_seeds(make_row: Callable[..., Row]) -> None:
    seeds = [hits(3, 1, 4, 2), hits(4, 0, 3, 3)]

    def group(which: int, method: str) -> Any:
        rows = [
            {
                **make_row(n, {"method": method}, report=(0.5, 0.5), selection=(0.5, 0.5)),
                "outcomes": {"memorized": packed(pair[which])},
            }
            for n, pair in enumerate(seeds)
        ]
        return group_rows(rows)[0]

    one, two = group(0, "svd"), group(1, "kfac")
    found = compare(one, two, "memorized")
    assert found is not None and compare(one, two, "recovered") is None
    assert (found.only, found.only_other) == (1, 7)
    assert found.p == pytest.approx(2 * (1 + 8) / 2**8)
    assert found.difference.mean == pytest.approx(-0.3)
    assert found.low < -0.3 < found.high
    two.rows[1]["outcomes"]["memorized"] = packed(np.ones(9, bool))
    with pytest.raises(InputError, match="'memorized' of the same items, got 10 and 9"):
        compare(one, two, "memorized")


def test_a_detectable_difference_is_found_four_times_of_five() -> None:
    rng = np.random.default_rng(0)
    limit = detectable(Estimate(0.0, 2.776445 / np.sqrt(5), 5))  # a spread of 1 over five seeds
    assert limit is not None and detectable(Estimate(0.1, None, 1)) is None
    drawn = rng.normal(limit, 1.0, size=(20000, 5))
    power = (ttest_rel(drawn, np.zeros_like(drawn), axis=1).pvalue < 0.05).mean()
    assert power == pytest.approx(0.8, abs=0.04)


def test_hypervolume_is_the_share_of_points_below_the_front() -> None:
    rng = np.random.default_rng(0)
    points = rng.random((12, 3))
    inside = (rng.random((200_000, 3))[:, None] <= points[None]).all(2).any(1).mean()
    assert hypervolume(points) == pytest.approx(inside, abs=0.005)
    assert hypervolume(np.array([[0.5, 0.5, 2.0], [0.5, 0.25, 1.0], [-1.0, 1.0, 1.0]])) == 0.5
    assert hypervolume(np.empty((0, 3))) == 0


def test_the_front_has_the_points_that_nothing_beats() -> None:
    points = np.array([[1, 1, 0], [1, 1, 0], [0, 2, 0], [1, 0, 0], [0.0, 0, 1]])
    assert undominated(points).tolist() == [True, True, True, False, True]


def test_the_tables_of_a_suite(toy: list[Row]) -> None:
    rng = np.random.default_rng(0)
    plain = render_tables("toy", toy)
    assert "comparison.md" not in plain
    lines = [line for line in plain["front.md"].splitlines() if line.startswith("| vit")]
    assert [line.split(" | ")[1] for line in lines] == ["K-FAC", "SVD", "random basis"]
    for row in toy:
        shares = {name: row["metrics"][name] for name in ("memorized", "recovered", "validation")}
        row["outcomes"] = {name: packed(rng.random(200) < share) for name, share in shares.items()}
    text = render_tables("toy", toy)["comparison.md"]
    compared = [line.split(" | ")[1:3] for line in text.splitlines() if line.startswith("| vit")]
    assert compared == [[o, m] for o in ("memorized", "recovered", "validation") for m in ("base", "SVD")]
    assert "< 0.0001" in text
