"""Calibration against scikit-learn, by hand, and against a plain sort."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, log_loss
from torch import Tensor

from vitmem.metrics.calibration import adaptive_ece, calibration, confidence_sums
from vitmem.metrics.predictions import Predictions


def predictions(logits: Tensor, labels: Tensor) -> Predictions:
    none = torch.zeros(0, dtype=torch.int64)
    rows = torch.arange(len(labels))
    return Predictions(logits, labels, labels, none, logits, labels, rows)


def random_case(n: int = 900, k: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, k, generator=generator, dtype=torch.float64)
    return logits, torch.multinomial((0.7 * logits).softmax(1), 1, generator=generator)[:, 0]


def test_against_scikit_learn() -> None:
    logits, labels = random_case()
    values = calibration(predictions(logits, labels), predictions(logits, labels))
    p = logits.softmax(1).numpy()
    onehot = np.eye(5)[labels.numpy()]
    assert values["nll"] == pytest.approx(log_loss(labels.numpy(), p), rel=1e-9)
    by_class = sum(brier_score_loss(onehot[:, c], p[:, c]) for c in range(5))
    assert values["brier"] == pytest.approx(by_class, rel=1e-9)
    confidence, right = p.max(1), p.argmax(1) == labels.numpy()
    place = np.minimum((confidence * 15).astype(int), 14)
    by_bin = sum(abs(right[place == b].sum() - confidence[place == b].sum()) for b in range(15))
    assert values["ece"] == pytest.approx(by_bin / len(labels), abs=1e-6)


def test_adaptive_by_hand() -> None:
    # confidence .5 .6 | .8 .9 in two bins of equal mass, right: no yes | yes yes
    # |1 - 1.1| + |2 - 1.7| = .4, over 4 images
    p = torch.tensor([[0.5, 0.5], [0.6, 0.4], [0.8, 0.2], [0.1, 0.9]], dtype=torch.float64)
    labels = torch.tensor([1, 0, 0, 1])
    assert adaptive_ece(confidence_sums(p, labels), bins=2) == pytest.approx(0.1)


def test_adaptive_shares_out_ties() -> None:
    # four images of confidence .75, two right: whichever bins they fall into, each is |.5 - .75| off
    p = torch.tensor([[0.75, 0.25]] * 4, dtype=torch.float64)
    assert adaptive_ece(confidence_sums(p, torch.tensor([0, 0, 1, 1])), bins=3) == pytest.approx(0.25)


def test_adaptive_against_a_sort() -> None:
    logits, labels = random_case(n=1500)
    p = logits.softmax(1).numpy()
    order = np.argsort(p.max(1))
    off = (p.argmax(1) == labels.numpy()).astype(float) - p.max(1)
    exact = sum(abs(part.sum()) for part in np.split(off[order], 15)) / 1500
    assert adaptive_ece(confidence_sums(torch.from_numpy(p), labels)) == pytest.approx(exact, abs=2e-3)
