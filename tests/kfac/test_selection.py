"""The staircase against a full sort of all pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vitmem.errors import InputError
from vitmem.kfac import mask_of, matched_fraction, staircase_by_fraction, staircase_by_mass

# Small whole numbers make ties and zeros frequent, and every sum exact.
spectrum = st.lists(st.integers(0, 6), min_size=1, max_size=9).filter(any)


def descending(values: list[int]) -> torch.Tensor:
    return torch.tensor(sorted(values, reverse=True), dtype=torch.float64)


def order(rows: torch.Tensor, columns: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the flat positions of all pairs by (importance descending, i, j), and their importances."""
    flat = torch.outer(rows, columns).numpy().ravel()
    by = np.argsort(-flat, kind="stable")
    return by, flat[by]


@settings(max_examples=300, deadline=None)
@given(spectrum, spectrum, st.sampled_from([0.1, 0.25, 0.5, 0.75, 0.9]))
def test_mass_keeps_the_prefix_of_a_full_sort(left: list[int], right: list[int], mass: float) -> None:
    rows, columns = descending(left), descending(right)
    by, sizes = order(rows, columns)
    kept = int(np.searchsorted(np.cumsum(sizes), mass * sizes.sum())) + 1
    expected = np.zeros(len(by), bool)
    expected[by[:kept]] = True
    found = mask_of(staircase_by_mass(rows, columns, mass), len(columns)).numpy()
    assert (found.ravel() == expected).all()


@settings(max_examples=300, deadline=None)
@given(spectrum, spectrum, st.floats(0.01, 1))
@example([0] * 8 + [1], [0] * 4 + [1], 0.3)  # 0.3 * 9 * 5 is just below 13.5, 0.3 * 45 is not
def test_fraction_keeps_the_prefix_of_a_full_sort(left: list[int], right: list[int], fraction: float) -> None:
    rows, columns = descending(left), descending(right)
    by, _ = order(rows, columns)
    expected = np.zeros(len(by), bool)
    expected[by[: max(1, round(fraction * len(by)))]] = True
    found = mask_of(staircase_by_fraction(rows, columns, fraction), len(columns)).numpy()
    assert (found.ravel() == expected).all()


def test_power_laws_where_products_round(subtests: pytest.Subtests) -> None:
    rows, columns = (torch.arange(1, n + 1, dtype=torch.float64) ** -1.3 for n in (61, 47))
    by, sizes = order(rows, columns)
    for mass in (0.1, 0.6, 0.75, 0.9, 0.999):
        with subtests.test(mass=mass):
            kept = int(np.searchsorted(np.cumsum(sizes), mass * sizes.sum())) + 1
            found = mask_of(staircase_by_mass(rows, columns, mass), 47).numpy().ravel()
            assert set(np.flatnonzero(found)) == set(by[:kept])


def test_mass_one_keeps_everything() -> None:
    rows, columns = descending([3, 1, 0]), descending([2, 0])
    assert staircase_by_mass(rows, columns, 1.0).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("rows", "columns", "share", "says"),
    [
        ([1, 2], [1], 0.5, "descending"),
        ([1, -1], [1], 0.5, ">= 0"),
        ([1, float("nan")], [1], 0.5, "finite"),
        ([0, 0], [1], 0.5, "all are zero"),
        ([1], [1], 0.0, "expected a number in"),
        ([1], [1], 1.5, "expected a number in"),
    ],
)
def test_what_is_refused(rows: list[float], columns: list[float], share: float, says: str) -> None:
    with pytest.raises(InputError, match=says):
        staircase_by_mass(torch.tensor(rows, dtype=torch.float64), torch.tensor(columns, dtype=torch.float64), share)


def test_matching_finds_the_smallest_fraction_that_meets_the_floor() -> None:
    asked: list[float] = []

    def accuracy(fraction: float) -> float:
        asked.append(fraction)
        return min(1.0, 0.5 + fraction * 10)

    found = matched_fraction(accuracy, 0.7)  # reached at 0.02
    assert accuracy(found) >= 0.7
    assert 0.02 <= found < 0.02 * 1.1
    assert len(asked) <= 12
    assert matched_fraction(lambda _: 0.0, 0.7) == 1.0
    assert matched_fraction(lambda _: 1.0, 0.7) == 1e-4
