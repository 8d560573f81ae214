"""The edit that keeps what two sets of inputs need: against numpy, and on inputs whose directions are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from vitmem.adapters.vision import VisionTask
from vitmem.edits.base import EditContext
from vitmem.edits.kfac_input import KfacInput
from vitmem.edits.protect import Protect
from vitmem.errors import InputError
from vitmem.kfac import Factors, LayerFactors, find_layers, fit


def close(found: torch.Tensor, expected: Any) -> None:
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-5)


def directions(matrix: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues, descending, and eigenvectors as columns."""
    values, vectors = np.linalg.eigh(np.asarray(matrix))
    return values[::-1], vectors[:, ::-1]


def projector(columns: np.ndarray, rounding: float = 1e-9) -> np.ndarray:
    """Return the orthogonal projector (q, q) on the span of ``columns`` (q, n)."""
    u, s, _ = np.linalg.svd(columns, full_matrices=False)
    u = u[:, s > rounding * s[0]]
    return u @ u.T


@pytest.fixture
def two(context: EditContext) -> EditContext:
    """The edit with a second set of inputs, in other directions."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        batch = 3 * torch.randn(7, 12) + 2, torch.randint(3, (7,))
    return replace(context, second=fit(context.model, context.layers, VisionTask("all", 0), [batch], seed=0))


@pytest.mark.parametrize("mass", [0.5, 0.8, 0.95])
def test_the_span_keeps_this_mass_of_both_and_the_fewest_eigenvectors_that_do(two: EditContext, mass: float) -> None:
    result = Protect(mass=mass, second={}).edit(two)
    for path, layer in two.layers.items():
        columns, masses = [], []
        for part in (two.statistics(path), two.second_statistics(path)):
            values, vectors = directions(part.a)
            count = int(np.searchsorted(np.cumsum(values) / values.sum(), mass)) + 1
            columns.append(vectors[:, :count])
        kept = projector(np.hstack(columns))
        close(result.weights[path], layer.weight.detach().double().numpy() @ kept)
        for part in (two.statistics(path), two.second_statistics(path)):
            masses.append(np.trace(kept @ part.a.numpy()) / np.trace(part.a.numpy()))
        assert result.reports[path].kept_mass == pytest.approx(min(masses)) and min(masses) >= mass - 1e-12


@pytest.mark.parametrize("fraction", [0.01, 0.25, 0.6])
def test_a_fraction_takes_eigenvectors_of_both_in_the_order_of_the_mass_before_them(
    two: EditContext, fraction: float
) -> None:
    result = Protect(fraction=fraction, second={}).edit(two)
    for path, layer in two.layers.items():
        size, pool = layer.weight.shape[1], []
        for number, part in enumerate((two.statistics(path), two.second_statistics(path))):
            values, vectors = directions(part.a)
            before = np.concatenate([[0], np.cumsum(values.clip(0))[:-1]]) / values.clip(0).sum()
            pool += [(share, number, n, vectors[:, n]) for n, share in enumerate(before)]
        wanted, taken = max(1, round(fraction * size)), np.zeros((size, 0))
        for _, _, _, vector in sorted(pool, key=lambda one: one[:3]):
            if np.linalg.matrix_rank(taken, tol=1e-9) < wanted:
                taken = np.hstack([taken, vector[:, None]])
        close(result.weights[path], layer.weight.detach().double().numpy() @ projector(taken))
        assert result.reports[path].kept_pairs == wanted * len(layer.weight)


@pytest.mark.parametrize("strength", [{"fraction": 0.25}, {"mass": 0.8}])
@pytest.mark.parametrize("rule", [{"rule": "span"}, {"rule": "mixture", "share": 0.3}])
def test_a_set_beside_itself_is_that_set(context: EditContext, strength: dict[str, Any], rule: dict[str, Any]) -> None:
    twice = replace(context, second=context.factors)
    one, other = KfacInput(**strength).edit(context), Protect(**strength, **rule, second={}).edit(twice)
    for path in context.layers:
        torch.testing.assert_close(one.weights[path], other.weights[path])
        assert other.reports[path].kept_mass == pytest.approx(one.reports[path].kept_mass)


def test_what_the_second_set_alone_needs_stays_as_it_is() -> None:
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 5)).double()
    layers, draw = find_layers(net, ["0"]), lambda *s: torch.randn(*s, generator=generator, dtype=torch.float64)
    common = draw(60, 8) * torch.tensor([4, 3, 2, 1, 0.1, 0.1, 0.1, 0.0])
    rare = draw(30, 1) * torch.eye(8, dtype=torch.float64)[7]  # a direction that the first set never has
    first, second = (
        fit(net, layers, VisionTask("all", 0), [(x, torch.zeros(len(x), dtype=torch.int64))], seed=0)
        for x in (common, rare)
    )
    context = EditContext(net, layers, first, seed=0, second=second)
    weight = net[0].weight.detach()
    for rule in ("span", "mixture"):
        new = Protect(fraction=0.5, second={}, rule=rule).edit(context).weights["0"]  # type: ignore[arg-type]
        torch.testing.assert_close(new @ rare.T, weight @ rare.T)
        assert np.linalg.matrix_rank(new.numpy(), tol=1e-9) == 4
    for new in (
        KfacInput(fraction=0.5).edit(context).weights["0"],
        Protect(fraction=0.5, second={}, rule="random").edit(context).weights["0"],
    ):
        assert (new @ rare.T - weight @ rare.T).norm() > 0.3 * (weight @ rare.T).norm()


def test_a_mixture_of_both_sides_is_kfac_of_the_mixed_moments(two: EditContext) -> None:
    result = Protect(fraction=0.2, second={}, rule="mixture", side="both", share=0.7).edit(two)
    for path, layer in two.layers.items():
        one, other = two.statistics(path), two.second_statistics(path)
        mixed = [
            0.7 * x.numpy() / np.trace(x.numpy()) + 0.3 * y.numpy() / np.trace(y.numpy())
            for x, y in ((one.g, other.g), (one.a, other.a))
        ]
        (lam, u), (mu, v) = map(directions, mixed)
        table = np.outer(lam, mu)
        kept = np.zeros(table.size, bool)
        kept[np.argsort(-table.ravel(), kind="stable")[: round(0.2 * table.size)]] = True
        weight = layer.weight.detach().double().numpy()
        close(result.weights[path], u @ ((u.T @ weight @ v) * kept.reshape(table.shape)) @ v.T)


def test_no_random_or_leading_directions_keep_more_of_the_two_masses_than_the_mixture(two: EditContext) -> None:
    """The projection on the rows of the edited weight is that on what was kept, where W has as many rows."""
    edits = {rule: Protect(fraction=0.25, second={}, rule=rule).edit(two) for rule in ("span", "mixture", "random")}  # type: ignore[arg-type]
    for path in two.layers:
        masses = {}
        for rule, result in edits.items():
            kept = projector(result.weights[path].double().numpy().round(6).T, 1e-4)
            parts = (two.statistics(path).a.numpy(), two.second_statistics(path).a.numpy())
            masses[rule] = sum(np.trace(kept @ a) / np.trace(a) for a in parts)
        assert masses["mixture"] >= max(masses["span"], masses["random"]) - 1e-4


def test_the_random_control_depends_on_the_seed_alone(two: EditContext) -> None:
    one, same, other = (
        Protect(fraction=0.25, second={}, rule="random").edit(replace(two, seed=seed)).weights["0"]
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, same) and not torch.allclose(one, other)


def test_a_set_that_is_missing_or_all_zero_is_named(context: EditContext) -> None:
    with pytest.raises(InputError, match=r"^edit: no second statistics of layer '0'; collect them with"):
        Protect(fraction=0.2, second={}).edit(context)
    zero = LayerFactors(1, torch.zeros(12, 12, dtype=torch.float64), torch.zeros(16, 16, dtype=torch.float64))
    empty = replace(context, second=Factors({"0": zero, "2": zero}))
    for rule in ("span", "mixture"):
        with pytest.raises(InputError, match=r"^layer '0': all inputs .*of a set are zero, so "):
            Protect(fraction=0.2, second={}, rule=rule).edit(empty)  # type: ignore[arg-type]
