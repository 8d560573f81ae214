"""Effective ranks and overlaps against numpy and scipy, and where they are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from scipy.stats import entropy

from vitmem.kfac.spectrum import effective_rank, overlap


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
