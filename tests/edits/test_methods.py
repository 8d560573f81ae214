"""Every edit on a small network: what it keeps, what it controls for, what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from vitmem.edits.base import EditContext, EditResult
from vitmem.edits.complement import Complement
from vitmem.edits.isotropic_noise import IsotropicNoise
from vitmem.edits.kfac import Kfac
from vitmem.edits.magnitude import Magnitude
from vitmem.edits.none import NoEdit
from vitmem.edits.random_basis import RandomBasis, orthogonal
from vitmem.edits.random_pairs import RandomPairs
from vitmem.edits.sap import Sap
from vitmem.edits.svd import Svd
from vitmem.edits.svd_rmt import SvdRmt
from vitmem.edits.uniform_scaling import UniformScaling
from vitmem.errors import InputError, VitmemError
from vitmem.kfac import edited
from vitmem.specs import seed_from


def test_no_edit(context: EditContext) -> None:
    assert NoEdit().edit(context) == EditResult()


def test_kfac_keeps_the_asked_share_and_the_complement_the_rest(context: EditContext) -> None:
    high, low = Kfac(fraction=0.3).edit(context), Complement(fraction=0.3).edit(context)
    for path, layer in context.layers.items():
        total = layer.weight.numel()
        assert high.reports[path].kept_pairs == low.reports[path].kept_pairs == round(0.3 * total)
        assert high.reports[path].kept_mass > 0.3 > low.reports[path].kept_mass
    half, other = Kfac(fraction=0.5).edit(context), Complement(fraction=0.5).edit(context)
    for path, layer in context.layers.items():  # the two halves add up to the whole
        torch.testing.assert_close(half.weights[path] + other.weights[path], layer.weight.detach())


@pytest.mark.parametrize("mass", [0.5, 0.75, 0.9])
def test_mass_is_reached_by_the_smallest_set(context: EditContext, mass: float) -> None:
    for report in Kfac(mass=mass).edit(context).reports.values():
        assert report.kept_mass >= mass
        assert report.kept_pairs < report.total_pairs


def test_the_random_basis_has_the_same_profile_and_depends_on_the_seed_alone(context: EditContext) -> None:
    one, two = RandomBasis(fraction=0.3).edit(context), RandomBasis(fraction=0.3).edit(context)
    other = RandomBasis(fraction=0.3).edit(EditContext(context.model, context.layers, context.factors, seed=6))
    for path, report in Kfac(fraction=0.3).edit(context).reports.items():
        assert one.reports[path].kept_pairs == report.kept_pairs
        assert one.reports[path].first_row == report.first_row
        assert torch.equal(one.weights[path], two.weights[path])
        assert not torch.equal(one.weights[path], other.weights[path])


def test_the_random_basis_by_hand(context: EditContext) -> None:
    result = RandomBasis(fraction=0.3).edit(context)
    for path, layer in context.layers.items():
        p, q = layer.weight.shape
        generator = torch.Generator().manual_seed(seed_from(context.seed, path))
        u, v = (orthogonal(n, generator).numpy() for n in (p, q))
        statistics = context.statistics(path)
        importance = np.outer(*(np.linalg.eigvalsh(m.numpy())[::-1].clip(0) for m in (statistics.g, statistics.a)))
        kept = np.zeros(p * q)
        kept[np.argsort(-importance, axis=None, kind="stable")[: round(0.3 * p * q)]] = 1
        expected = u @ (u.T @ layer.weight.detach().double().numpy() @ v * kept.reshape(p, q)) @ v.T
        np.testing.assert_allclose(result.weights[path].numpy(), expected, atol=1e-5)


def test_random_bases_are_orthogonal() -> None:
    q = orthogonal(7, torch.Generator().manual_seed(0))
    torch.testing.assert_close(q @ q.T, torch.eye(7, dtype=torch.float64))


@pytest.mark.parametrize("rank_fraction", [0.01, 0.3, 1.0])
def test_svd_is_the_nearest_matrix_of_its_rank(context: EditContext, rank_fraction: float) -> None:
    result = Svd(rank_fraction=rank_fraction).edit(context)
    for path, layer in context.layers.items():
        s = np.linalg.svd(layer.weight.detach().double().numpy(), compute_uv=False)
        rank = max(1, int(rank_fraction * len(s)))
        assert np.linalg.matrix_rank(result.weights[path].double().numpy(), tol=1e-5) == rank
        # Eckart-Young: the distance is the norm of the dropped singular values
        assert result.reports[path].change_norm == pytest.approx(np.sqrt((s[rank:] ** 2).sum()), abs=1e-5)


def test_a_weight_that_is_not_finite_is_named(context: EditContext) -> None:
    context.layers["2"].weight.data[0, 0] = float("nan")  # type: ignore[union-attr, operator]
    with pytest.raises(VitmemError, match="layer '2': NaN or infinity in its weight"):
        Svd(rank_fraction=0.5).edit(context)


def test_matching_edits_no_more_than_the_drop_allows(context: EditContext) -> None:
    x = torch.randn(200, 12, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        base = context.model(x).argmax(1)

    def agreement(weights: Any) -> float:
        with torch.no_grad(), edited(context.model, weights):
            return float((context.model(x).argmax(1) == base).double().mean())

    matching = EditContext(context.model, context.layers, context.factors, seed=5, evaluate=agreement)
    loose, tight = (Kfac(match_drop=drop).edit(matching) for drop in (0.3, 0.05))
    assert agreement(loose.weights) >= 0.7
    assert agreement(tight.weights) >= 0.95
    assert loose.reports["0"].kept_pairs < tight.reports["0"].kept_pairs <= 12 * 16


@pytest.mark.parametrize(
    "method", [Kfac, RandomBasis, RandomPairs, Svd, SvdRmt, Sap, Magnitude, IsotropicNoise, UniformScaling]
)
def test_matching_raises_the_loss_no_more_than_allowed(context: EditContext, method: Any) -> None:
    x = torch.randn(200, 12, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        labels = context.model(x).argmax(1)

    def loss(weights: Any) -> float:
        with torch.no_grad(), edited(context.model, weights):
            return float(nn.functional.cross_entropy(context.model(x), labels))

    matching = EditContext(context.model, context.layers, context.factors, seed=5, loss=loss)
    changes = []
    for allowed in (0.02, 0.2):
        result = method(match_loss=allowed).edit(matching)
        assert loss(result.weights) <= loss({}) + allowed
        changes.append(result.reports["0"].change_norm)
    assert changes[0] < changes[1]


def test_magnitude_keeps_the_largest_weights(context: EditContext) -> None:
    result = Magnitude(fraction=0.25).edit(context)
    for path, layer in context.layers.items():
        weight = layer.weight.detach().numpy()
        smallest = np.sort(np.abs(weight), axis=None)[-int(np.ceil(weight.size / 4))]
        np.testing.assert_array_equal(result.weights[path].numpy(), np.where(np.abs(weight) >= smallest, weight, 0))
        assert result.reports[path].kept_pairs == np.ceil(weight.size / 4)
    assert all(
        torch.equal(w, context.layers[p].weight) for p, w in Magnitude(fraction=1.0).edit(context).weights.items()
    )


@pytest.mark.parametrize("strength", [{}, {"mass": 0.5, "fraction": 0.5}, {"fraction": 0.5, "match_loss": 0.1}])
def test_exactly_one_strength(strength: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="exactly one of"):
        Kfac(**strength)


def test_what_is_missing_is_said(context: EditContext) -> None:
    bare = EditContext(context.model, context.layers, None, seed=0)
    with pytest.raises(InputError, match="no statistics of layer '0'"):
        Kfac(mass=0.5).edit(bare)
    with pytest.raises(InputError, match="'match_drop' needs a selection half"):
        Kfac(match_drop=0.1).edit(context)
