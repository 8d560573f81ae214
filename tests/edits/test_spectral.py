"""Filters of the spectrum and controls of their size, against their formulas in numpy and float64."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vitmem.edits.base import EditContext
from vitmem.edits.isotropic_noise import IsotropicNoise
from vitmem.edits.kfac import Kfac
from vitmem.edits.random_pairs import RandomPairs
from vitmem.edits.sap import Sap, gains
from vitmem.edits.svd_rmt import SvdRmt, bulk_median, noise_level
from vitmem.edits.toward_init import TowardInit
from vitmem.edits.uniform_scaling import UniformScaling
from vitmem.errors import InputError
from vitmem.kfac import LayerFactors

Array = NDArray[np.float64]


def one_layer(weight: Array, a: Array | None = None) -> EditContext:
    """Return the context of a linear layer with W (p, q) and statistics whose A (q, q) is given."""
    p, q = weight.shape
    layer = torch.nn.Linear(q, p).double()
    layer.weight.data = torch.from_numpy(weight)
    factors: Any = None
    if a is not None:
        found = LayerFactors(1, torch.from_numpy(a), torch.eye(p, dtype=torch.float64))
        factors = type("Factors", (), {"layers": {"": found}})()
    return EditContext(layer, {"": layer}, factors, seed=3)


def matrix(p: int, q: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((p, q))


@pytest.mark.parametrize("beta", [0.05, 0.25, 0.5, 0.75, 1.0])
def test_the_median_of_the_bulk_is_the_published_one(beta: float) -> None:
    # Gavish and Donoho 2014: their hard threshold, in units of the median singular value, is this to about 0.02
    threshold = math.sqrt(2 * (beta + 1) + 8 * beta / (beta + 1 + math.sqrt(beta**2 + 14 * beta + 1)))
    published = 0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43
    assert threshold / math.sqrt(bulk_median(beta)) == pytest.approx(published, abs=0.02)


def test_the_median_of_the_bulk_of_a_square_matrix() -> None:
    # below x = 2 - 2 cos t lies (t + sin t) / π of the mass: the median is where π/2 - t is its own cosine
    assert bulk_median(1.0) == pytest.approx(2 - 2 * math.sin(0.7390851332151607), rel=1e-12)


@pytest.mark.parametrize("shape", [(120, 300), (300, 120), (200, 200)])
def test_the_level_of_noise_is_found_under_a_signal(shape: tuple[int, int]) -> None:
    weight = 0.3 * matrix(*shape) + 40 * np.outer(*(matrix(1, n, 1)[0] / math.sqrt(n) for n in shape))
    s = torch.from_numpy(np.linalg.svd(weight, compute_uv=False))
    assert noise_level(s, max(shape)) == pytest.approx(0.3, rel=0.03)


@pytest.mark.parametrize("edge", [0.8, 1.0, 1.2])
@pytest.mark.parametrize("shape", [(5, 8), (8, 5)])
def test_singular_values_are_shrunk_by_the_published_formula(shape: tuple[int, int], edge: float) -> None:
    u, s, vt = np.linalg.svd(matrix(*shape) + 3 * np.outer(np.ones(shape[0]), np.ones(shape[1])), full_matrices=False)
    beta, longer = 5 / 8, 8
    sigma = edge * np.median(s) / math.sqrt(longer * bulk_median(beta))
    expected = np.zeros_like(s)
    for i, value in enumerate(s):
        y = value / (sigma * math.sqrt(longer))
        if y > 1 + math.sqrt(beta):
            product = (y**2 - (1 + math.sqrt(beta)) ** 2) * (y**2 - (1 - math.sqrt(beta)) ** 2)
            expected[i] = sigma * math.sqrt(longer) * math.sqrt(product) / y
    result = SvdRmt(edge=edge).edit(one_layer((u * s) @ vt))
    np.testing.assert_allclose(result.weights[""].numpy(), (u * expected) @ vt, atol=1e-12)
    assert 0 < result.reports[""].kept_pairs == (expected > 0).sum() < 5


def test_pure_noise_has_little_left_and_a_matrix_of_low_rank_has_no_noise() -> None:
    noise = one_layer(matrix(150, 200))
    assert SvdRmt(edge=1.1).edit(noise).reports[""].kept_pairs == 0
    low = one_layer(matrix(20, 3) @ matrix(3, 20, 1))
    assert SvdRmt(edge=1.0).edit(low).reports[""].relative_change < 1e-10


@pytest.mark.parametrize("alpha", [1.0, 30.0, 1e4])
def test_sap_filters_the_inputs_by_the_published_formula(alpha: float) -> None:
    weight, inputs = matrix(4, 6), matrix(50, 6, 1) * [9, 5, 3, 1, 0.3, 0.1]
    u, sigma, _ = np.linalg.svd(inputs.T, full_matrices=False)  # the d x N matrix of inputs, as published
    share = sigma**2 / (sigma**2).sum()
    gain = alpha * share / ((alpha - 1) * share + 1)
    result = Sap(alpha=alpha).edit(one_layer(weight, inputs.T @ inputs / 50))
    np.testing.assert_allclose(result.weights[""].numpy(), weight @ u @ np.diag(gain) @ u.T, atol=1e-12)
    assert result.reports[""].kept_pairs == round(4 * gain.sum())


def test_sap_by_hand() -> None:
    # three quarters and one quarter of the energy, alpha 3: gains 9/10 and 3/6
    result = Sap(alpha=3).edit(one_layer(np.ones((1, 2)), np.diag([6.0, 2.0])))
    np.testing.assert_allclose(result.weights[""].numpy(), [[0.9, 0.5]], rtol=1e-14)
    assert gains(torch.tensor([6.0, 2.0]), 1).tolist() == [0.75, 0.25]


def test_random_pairs_are_as_many_nested_and_others_for_another_seed(context: EditContext) -> None:
    high, some, more = (
        Kfac(fraction=0.3).edit(context),
        RandomPairs(fraction=0.3).edit(context),
        RandomPairs(mass=0.99).edit(context),
    )
    other = RandomPairs(fraction=0.3).edit(EditContext(context.model, context.layers, context.factors, seed=6))
    for path, layer in context.layers.items():
        statistics = context.statistics(path)
        assert some.reports[path].kept_pairs == high.reports[path].kept_pairs < more.reports[path].kept_pairs
        assert high.reports[path].kept_mass > some.reports[path].kept_mass
        masks = []
        for result in (some, more, other):
            new = statistics.eigen_g.vectors.T @ result.weights[path].double() @ statistics.eigen_a.vectors
            old = statistics.eigen_g.vectors.T @ layer.weight.detach().double() @ statistics.eigen_a.vectors
            kept = new.abs() > 1e-5
            torch.testing.assert_close(new[kept], old[kept], atol=1e-5, rtol=0)
            masks.append(kept & (old.abs() > 1e-3))
        assert not (masks[0] & ~masks[1]).any()
        assert not torch.equal(masks[0], masks[2])


def test_noise_has_the_asked_norm_one_direction_a_layer_and_a_seed(context: EditContext) -> None:
    small, large = IsotropicNoise(relative_norm=0.1).edit(context), IsotropicNoise(relative_norm=2.0).edit(context)
    other = IsotropicNoise(relative_norm=0.1).edit(EditContext(context.model, context.layers, None, seed=6))
    for path, layer in context.layers.items():
        weight = layer.weight.detach()
        assert small.reports[path].relative_change == pytest.approx(0.1, rel=1e-5)
        assert large.reports[path].relative_change == pytest.approx(2, rel=1e-5)
        change = small.weights[path] - weight
        torch.testing.assert_close(20 * change, large.weights[path] - weight, rtol=1e-4, atol=1e-4)
        assert abs(float(change.double().mean() / change.double().std())) < 4 / math.sqrt(change.numel())
        assert not torch.equal(small.weights[path], other.weights[path])


def test_the_line_toward_the_start() -> None:
    context = one_layer(np.array([[3.0, -4.0]]))
    start = one_layer(np.array([[1.0, 0.0]])).model
    with pytest.raises(InputError, match="needs the network as it was before training"):
        TowardInit(factor=0.5).edit(context)
    result = TowardInit(factor=0.25).edit(replace(context, initial=lambda: start))
    assert result.weights[""].tolist() == [[1.5, -1.0]]
    assert result.reports[""].change_norm == pytest.approx(math.sqrt(1.5**2 + 3**2))
    assert result.reports[""].kept_energy == pytest.approx((1.5**2 + 1) / 25)


def test_scaling_shrinks_by_the_factor() -> None:
    result = UniformScaling(factor=0.25).edit(one_layer(np.array([[3.0, -4.0]])))
    assert result.weights[""].tolist() == [[0.75, -1.0]]
    assert result.reports[""].change_norm == 3.75
    assert result.reports[""].kept_energy == 0.0625
