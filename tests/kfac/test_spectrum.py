"""Effective ranks and overlaps against numpy and scipy, and where they are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from scipy.stats import entropy
from sklearn.decomposition import PCA

from vitmem.kfac.spectrum import centered, effective_rank, eigen, overlap


def test_effective_rank() -> None:
    values = torch.rand(9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert effective_rank(values) == pytest.approx(np.exp(entropy(values.numpy())))
    assert effective_rank(torch.full((6,), 3.0)) == pytest.approx(6)
    assert effective_rank(torch.tensor([2.0, 0, 0])) == pytest.approx(1)
    assert effective_rank(torch.zeros(4)) == 0


def test_overlap_is_the_mean_squared_cosine_of_the_angles() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.linalg.qr(torch.randn(10, 3, generator=generator, dtype=torch.float64)).Q for _ in range(2))
    assert overlap(one, other) == pytest.approx(np.mean(np.cos(subspace_angles(one.numpy(), other.numpy())) ** 2))
    mixed = one @ torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64)).Q
    assert overlap(one, mixed) == pytest.approx(1)
    eye = torch.eye(6, dtype=torch.float64)
    assert overlap(eye[:, :3], eye[:, 3:]) == 0


def test_centered_is_the_mean_and_the_principal_components_across_it() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 7)) @ rng.normal(size=(7, 7)) + 3 * rng.normal(size=7)
    second, mean = rows.T @ rows / len(rows), rows.mean(0)
    found = centered(torch.from_numpy(second), torch.from_numpy(mean))
    along = mean / np.linalg.norm(mean)
    across = rows - np.outer(rows @ along, along)  # scikit-learn centres them
    pca = PCA().fit(across)
    np.testing.assert_allclose(found.values[1:], pca.explained_variance_[:6] * 199 / 200)
    vectors = found.vectors.numpy()
    np.testing.assert_allclose(np.abs(vectors[:, 0] @ along), 1)
    np.testing.assert_allclose(np.abs((vectors[:, 1:] * pca.components_[:6].T).sum(0)), 1)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(7), atol=1e-12)
    assert found.values[0] == pytest.approx(max(along @ second @ along, pca.explained_variance_[0] * 199 / 200))


def test_centered_without_a_mean_is_the_covariance() -> None:
    second = torch.diag(torch.tensor([1.0, 3.0, 2.0], dtype=torch.float64))
    assert centered(second, torch.zeros(3)).values.tolist() == [3, 2, 1]


def test_a_spectrum_that_divide_and_conquer_does_not_find(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.randn(5, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    matrix = rows.T @ rows
    wanted = eigen(matrix)

    def fails(_: torch.Tensor) -> None:
        raise torch.linalg.LinAlgError("linalg.eigh: The algorithm failed to converge")

    monkeypatch.setattr(torch.linalg, "eigh", fails)
    found = eigen(matrix)
    assert torch.allclose(found.values, wanted.values, atol=1e-10) and (found.values >= 0).all()
    assert torch.equal(found.values, found.values.sort(descending=True).values)
    rebuilt = found.vectors * found.values @ found.vectors.T
    assert torch.allclose(rebuilt, matrix, atol=1e-10)
