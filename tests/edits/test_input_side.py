"""The edit by the input side and what tells it from curvature: against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from vitmem.adapters.vision import VisionTask
from vitmem.edits.ablate import Ablate
from vitmem.edits.base import EditContext
from vitmem.edits.kfac import Kfac
from vitmem.edits.kfac_input import KfacInput
from vitmem.edits.random_basis import RandomBasis, orthogonal
from vitmem.edits.singular_basis import SingularBasis
from vitmem.errors import InputError, VitmemError
from vitmem.kfac import find_layers, fit
from vitmem.specs import seed_from


def close(found: torch.Tensor, expected: Any) -> None:
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-5)


def directions(matrix: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues, descending, and eigenvectors as columns."""
    values, vectors = np.linalg.eigh(matrix.numpy())
    return values[::-1], vectors[:, ::-1]


@pytest.mark.parametrize("fraction", [0.01, 0.25, 0.5])
def test_the_weight_is_projected_on_the_leading_directions_of_its_inputs(context: EditContext, fraction: float) -> None:
    result = KfacInput(fraction=fraction).edit(context)
    for path, layer in context.layers.items():
        weight = layer.weight.detach().double().numpy()
        values, vectors = directions(context.statistics(path).a)
        kept = max(1, round(fraction * weight.shape[1]))
        close(result.weights[path], weight @ vectors[:, :kept] @ vectors[:, :kept].T)
        assert result.reports[path].kept_pairs == kept * len(weight)
        assert result.reports[path].kept_mass == pytest.approx(values[:kept].sum() / values.sum())


def test_a_mass_is_that_of_the_inputs(context: EditContext) -> None:
    result = KfacInput(mass=0.8).edit(context)
    for path, layer in context.layers.items():
        values, _ = directions(context.statistics(path).a)
        kept = int(np.searchsorted(np.cumsum(values), 0.8 * values.sum())) + 1
        assert result.reports[path].kept_pairs == kept * len(layer.weight)


def test_it_is_kfac_with_one_side_where_no_direction_is_cut_in_two(context: EditContext) -> None:
    one, other = (
        KfacInput(fraction=0.25).edit(context),
        Kfac(fraction=0.25, side="A").edit(context),
    )  # 3 of 12 and 4 of 16
    for path in context.layers:
        torch.testing.assert_close(one.weights[path], other.weights[path])


def test_the_output_of_the_mean_input_stays_when_centered() -> None:
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5)).double()
    x = torch.randn(50, 6, generator=generator, dtype=torch.float64) + torch.arange(6)
    layers = find_layers(net, ["0"])
    factors = fit(net, layers, VisionTask("all", 0), [(x, torch.zeros(50, dtype=torch.int64))], seed=0, moments="mean")
    context = EditContext(net, layers, factors, seed=0)
    new = KfacInput(fraction=0.34, centered=True).edit(context).weights["0"]  # 2 of 6
    weight, mean = net[0].weight.detach(), x.mean(0)
    torch.testing.assert_close(new @ mean, weight @ mean)
    assert np.linalg.matrix_rank(new.numpy(), tol=1e-9) == 2
    with pytest.raises(InputError, match="needs the mean moments"):
        plain = fit(net, layers, VisionTask("all", 0), [(x, torch.zeros(50, dtype=torch.int64))], seed=0)
        KfacInput(fraction=0.5, centered=True).edit(EditContext(net, layers, plain, seed=0))


@pytest.mark.parametrize("random", ["input", "output"])
def test_one_random_basis_by_hand(context: EditContext, random: Any) -> None:
    result = RandomBasis(fraction=0.3, random=random).edit(context)
    for path, layer in context.layers.items():
        p, q = layer.weight.shape
        generator = torch.Generator().manual_seed(seed_from(context.seed, path))
        u, v = (orthogonal(n, generator).numpy() for n in (p, q))
        statistics = context.statistics(path)
        (rows, output), (columns, inner) = directions(statistics.g), directions(statistics.a)
        u, v = (output, v) if random == "input" else (u, inner)
        kept = np.zeros(p * q)
        kept[np.argsort(-np.outer(rows, columns).clip(0), axis=None, kind="stable")[: round(0.3 * p * q)]] = 1
        weight = layer.weight.detach().double().numpy()
        close(result.weights[path], u @ (u.T @ weight @ v * kept.reshape(p, q)) @ v.T)


def test_singular_vectors_ranked_by_curvature_by_hand(context: EditContext) -> None:
    result = SingularBasis(fraction=0.4).edit(context)
    for path, layer in context.layers.items():
        weight, statistics = layer.weight.detach().double().numpy(), context.statistics(path)
        u, s, vt = np.linalg.svd(weight)
        curvature = np.outer(
            np.einsum("ki,kl,li->i", u, statistics.g.numpy(), u),
            np.einsum("jk,kl,jl->j", vt, statistics.a.numpy(), vt),
        )
        kept = curvature.ravel() >= np.sort(curvature.ravel())[::-1][round(0.4 * weight.size) - 1]
        coordinates = np.zeros(weight.shape)
        np.fill_diagonal(coordinates, s)  # W is diagonal in its own singular vectors
        close(result.weights[path], u @ (coordinates * kept.reshape(weight.shape)) @ vt)


def test_ablation_leaves_nothing(context: EditContext) -> None:
    result = Ablate().edit(context)
    for path, layer in context.layers.items():
        assert not result.weights[path].any() and result.weights[path].shape == layer.weight.shape
        assert result.reports[path].relative_change == pytest.approx(1)
        assert result.reports[path].kept_pairs == 0
    context.layers["2"].weight.data[0, 0] = float("nan")  # type: ignore[union-attr, operator]
    with pytest.raises(VitmemError, match="layer '2': NaN or infinity in its weight"):
        Ablate().edit(context)


def test_a_basis_of_the_data_counts_as_told() -> None:
    given = {random: RandomBasis(fraction=0.5, random=random).information for random in (None, "input", "output")}
    assert given == {None: "data-free", "input": "unlabelled", "output": "unlabelled"}
