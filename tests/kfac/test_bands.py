"""Norms in bands against dense projections in float64, and what enters a layer against what it was given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vitmem.kfac import eigen
from vitmem.kfac.bands import band_norms, band_sizes, compare_bands
from vitmem.kfac.capture import entering

WIDTH = 20


@pytest.fixture(scope="module")
def sets() -> tuple[Tensor, Tensor]:
    """Two sets of rows (n, 20), the second stretched along some axes."""
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(n, WIDTH, generator=generator, dtype=torch.float64) for n in (30, 50))
    return one, other * torch.linspace(3, 0.1, WIDTH)


def test_bands_are_dense_projections(sets: tuple[Tensor, Tensor]) -> None:
    one, other = sets
    vectors = eigen(other.T @ other / len(other)).vectors
    found = compare_bands(band_norms(vectors, one), band_norms(vectors, other), WIDTH)
    values, order = np.linalg.eigh(other.numpy().T @ other.numpy() / len(other))
    assert (np.diff(values) > 0).all()
    order = order[:, ::-1]
    for band, (low, high) in zip(found, ((0, 2), (2, 5), (5, 10), (10, 20)), strict=True):
        projector = order[:, low:high] @ order[:, low:high].T  # (q, q)
        norms = [np.linalg.norm(rows.numpy() @ projector, axis=1) for rows in sets]
        whole = [np.linalg.norm(rows.numpy(), axis=1) for rows in sets]
        assert (band.low, band.high, band.vectors) == (low / 20, high / 20, high - low)
        np.testing.assert_allclose(band.norms, [n.mean() for n in norms], rtol=1e-10)
        np.testing.assert_allclose(band.ratio, norms[0].mean() / norms[1].mean(), rtol=1e-10)
        shares = [((n / w) ** 2).mean() for n, w in zip(norms, whole, strict=True)]
        np.testing.assert_allclose(band.shares, shares, rtol=1e-10)
    assert found[0].ratio < 1 < found[-1].ratio  # the second set lies in the first directions
    assert sum(band.shares[0] for band in found) == pytest.approx(1) == sum(band.shares[1] for band in found)


def test_sizes() -> None:
    assert band_sizes(640) == [64, 96, 160, 320]
    assert band_sizes(4) == [0, 1, 1, 2]
    norms = band_norms(torch.eye(4), torch.tensor([[0.0, 3.0, 4.0, 0.0], [0, 0, 0, 0]]))
    assert norms.tolist() == [[0, 0, 3, 4], [0, 0, 0, 0]]
    found = compare_bands(norms, norms, 4)
    assert [band.vectors for band in found] == [1, 1, 2] and found[0].ratio == float("inf")
    assert [band.shares[0] for band in found] == pytest.approx([0, 9 / 50, 16 / 50])  # zeros have no share


class Twice(nn.Module):
    """One layer by place, then by name."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(input=torch.tanh(self.fc(x)))


def test_what_enters_is_seen_for_as_long_as_the_block_lasts() -> None:
    net, x, seen = Twice(), torch.ones(2, 3), []
    with torch.no_grad(), entering({"fc": net.fc}, lambda path, rows: seen.append((path, rows))):
        net(x)
    net(x)
    assert [path for path, _ in seen] == ["fc", "fc"]
    assert torch.equal(seen[0][1], x) and torch.equal(seen[1][1], torch.tanh(net.fc(x)))
