"""Cotangents of float32 logits against the same in float64, plainly."""

import pytest
import torch

from vitmem.kfac.labels import BLOCK, cotangents


def gradient(logits, given, mode, seed=0):
    generator = torch.Generator().manual_seed(seed)
    (cotangent,) = cotangents(given, logits.shape[1], mode, 1, generator)
    return cotangent(logits, slice(None))


@pytest.mark.parametrize("classes", [3, BLOCK, 2 * BLOCK + 77])
def test_labels_are_drawn_by_the_inverse_of_the_distribution(classes):
    logits = torch.randn(300, classes, generator=torch.Generator().manual_seed(1)) * 3
    drawn = gradient(logits, torch.zeros(300, dtype=torch.int64), "sampled").argmin(1)
    uniform = torch.rand(300, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = torch.searchsorted(logits.double().softmax(1).cumsum(1), uniform)[:, 0]
    assert torch.equal(drawn, expected)
    assert len(drawn.unique()) > 2


def test_a_network_that_is_sure_still_has_a_gradient_at_its_label():
    logits = torch.randn(4, BLOCK + 5, generator=torch.Generator().manual_seed(1))
    logits[:, 7] = 25.0
    found = gradient(logits, torch.full((4,), 7), "given").double()
    others = logits.double().softmax(1).index_fill(1, torch.tensor(7), 0).sum(1)
    assert float(others.max()) < 2e-8  # less than the distance of 1 from the next float32
    torch.testing.assert_close(found[:, 7], -others, rtol=1e-5, atol=0)
    torch.testing.assert_close(found.sum(1), torch.zeros(4).double(), rtol=0, atol=1e-13)
