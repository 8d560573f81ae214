"""Paired tests and fronts against values found by hand or another way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import binomtest, chi, norm, sem, t, ttest_1samp
from statsmodels.stats.multitest import multipletests

from vitmem.errors import InputError
from vitmem.outcomes import packed
from vitmem.reports.aggregate import Estimate, estimate, group_rows
from vitmem.reports.files import render_tables
from vitmem.reports.paired import compare, detectable, holm, mcnemar, mcnemar_interval, t_interval, t_test
from vitmem.reports.report import Report
from vitmem.reports.tables.front import hypervolume, undominated

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
    values = np.random.default_rng(0).random(40) ** 3
    values[7] = values[9]
    assert holm(values.tolist()) == pytest.approx(multipletests(values, method="holm")[1])


@pytest.mark.parametrize(("only", "other", "items"), [(5, 20, 100), (0, 6, 50), (5, 0, 9), (12, 12, 24), (0, 0, 7)])
def test_the_interval_of_one_seed_is_that_of_mcnemar(only: int, other: int, items: int) -> None:
    low, high = mcnemar_interval(only, other, items)
    if only + other:
        test = binomtest(only, only + other)
        ends = [(2 * end - 1) * (only + other) / items for end in test.proportion_ci(0.95, "exact")]
        assert mcnemar(only, other) == pytest.approx(test.pvalue) and (low, high) == pytest.approx(tuple(ends))
    assert low <= (only - other) / items <= high


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_and_its_interval_agree(only: int, other: int) -> None:
    low, high = mcnemar_interval(only, other, 200)
    assert (mcnemar(only, other) <= 0.05) == (low > 0 or high < 0)


@given(st.lists(st.integers(-40, 40), min_size=3, max_size=6))
def test_the_t_test_and_its_interval_agree(changes: list[int]) -> None:
    mean = estimate([change / 64 for change in changes])
    assert mean is not None
    p, ends = t_test(mean), t_interval(mean)
    assert p is not None and ends is not None and 0 <= p <= 1
    assert (p <= 0.05) == (ends[0] > 0 or ends[1] < 0)
    if len(set(changes)) > 1:
        test = ttest_1samp([change / 64 for change in changes], 0)
        assert p == pytest.approx(test.pvalue, abs=1e-9) and ends == pytest.approx(tuple(test.confidence_interval()))


def group(seeds: list[tuple[np.ndarray, np.ndarray]], which: int, method: str, make_row: Callable[..., Row]) -> Any:
    rows = [
        {
            **make_row(n, {"method": method}, report=(0.5, 0.5), selection=(0.5, 0.5)),
            "outcomes": {"memorized": packed(pair[which])},
        }
        for n, pair in enumerate(seeds)
    ]
    return group_rows(rows)[0]


def test_a_comparison_over_seeds_is_clustered_by_them(make_row: Callable[..., Row]) -> None:
    # the same 40 changed items of 300: McNemar's test over all of them would not see that one seed goes the other way
    seeds = [hits(30, 0, 30, 40), hits(30, 0, 20, 50), hits(30, 10, 0, 60)]
    one, two = group(seeds, 0, "svd", make_row), group(seeds, 1, "kfac", make_row)
    found = compare(one, two, "memorized")
    assert found is not None and compare(one, two, "recovered") is None
    test = ttest_1samp([-0.3, -0.2, 0.1], 0)
    assert found.p == pytest.approx(test.pvalue) and found.ends == pytest.approx(tuple(test.confidence_interval()))
    assert (found.only, found.only_other) == (10, 50) and mcnemar(10, 50) < 0.001 < 0.05 < found.p
    two.rows[1]["outcomes"]["memorized"] = packed(np.ones(9, bool))
    with pytest.raises(InputError, match="'memorized' of the same items, got 100 and 9"):
        compare(one, two, "memorized")


def test_of_two_seeds_nothing_is_tested_and_of_one_the_items_are(make_row: Callable[..., Row]) -> None:
    seeds = [hits(3, 1, 40, 2), hits(4, 0, 40, 3)]
    found = compare(group(seeds, 0, "svd", make_row), group(seeds, 1, "kfac", make_row), "memorized")
    assert found is not None and found.p is None and found.ends is None and found.detectable is not None
    assert found.difference.pair == pytest.approx((-40 / 47, -39 / 46))
    alone = compare(group(seeds[:1], 0, "svd", make_row), group(seeds[:1], 1, "kfac", make_row), "memorized")
    assert alone is not None and alone.p == mcnemar(1, 40) and alone.ends == mcnemar_interval(1, 40, 46)
    assert alone.detectable is None


@pytest.mark.parametrize("seeds", [2, 3, 4, 5, 10])
def test_a_detectable_difference_is_found_four_times_of_five(seeds: int) -> None:
    freedom = seeds - 1
    critical = t.ppf(0.975, freedom)

    def power(shift: float) -> float:
        """The power of a t test, integrated over the standard deviation that is seen (statsmodels' TTestPower)."""

        def found(ratio: float) -> float:
            seen = critical * ratio / np.sqrt(freedom)
            return float((norm.sf(seen - shift) + norm.cdf(-seen - shift)) * chi.pdf(ratio, freedom))

        return float(quad(found, 0, 12, limit=400, points=[shift * np.sqrt(freedom) / critical])[0])

    values = [0.0, 1.0] if seeds == 2 else list(np.linspace(0, 1, seeds))
    mean = estimate(values)
    assert mean is not None
    limit = detectable(mean)
    assert limit is not None and power(limit / sem(values)) == pytest.approx(0.8, abs=1e-5)
    if seeds == 2:  # the sum of two quantiles of t, which stood here, is 14 % too small
        assert sem(values) * (critical + t.ppf(0.8, 1)) == pytest.approx(0.862 * limit, rel=1e-3)
    assert detectable(Estimate(0.1, None, 1)) is None


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
    plain = render_tables(Report("toy", toy))
    assert "comparison.md" not in plain
    lines = [line for line in plain["front.md"].splitlines() if line.startswith("| vit")]
    assert [line.split(" | ")[1] for line in lines] == ["K-FAC", "SVD", "random basis"]
    for row in toy:
        shares = {name: row["metrics"][name] for name in ("memorized", "recovered", "validation")}
        row["outcomes"] = {name: packed(rng.random(200) < share) for name, share in shares.items()}
    text = render_tables(Report("toy", toy))["comparison.md"]
    compared = [line.split(" | ")[1:3] for line in text.splitlines() if line.startswith("| vit")]
    assert compared == [[o, m] for o in ("memorized", "recovered", "validation") for m in ("base", "SVD")]
    one = render_tables(Report("toy", [row for row in toy if row["config"]["seed"] == 0]))["comparison.md"]
    assert "< 0.0001" in one
