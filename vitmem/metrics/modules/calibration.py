"""Calibration over batches and ranks."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from vitmem.metrics.calibration import BINS, FINE, adaptive_ece, brier_sums, confidence_sums


class Brier(Metric):
    """The multi-class Brier score (0 to 2) over batches and ranks; update with (n, K) and (n,)."""

    sums: Tensor
    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        self.add_state("sums", torch.zeros(2, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, probabilities: Tensor, labels: Tensor) -> None:
        """Add a batch of probabilities (n, K) and labels (n,)."""
        self.sums += brier_sums(probabilities, labels)

    def compute(self) -> Tensor:
        """Return the score, a float64 scalar; NaN without images."""
        return self.sums[0] / self.sums[1]


class AdaptiveEce(Metric):
    """``adaptive_ece`` over batches and ranks; update with (n, K) probabilities and (n,) labels."""

    sums: Tensor
    full_state_update = False

    def __init__(self, bins: int = BINS) -> None:
        super().__init__()
        self.bins = bins
        self.add_state("sums", torch.zeros(3, FINE, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, probabilities: Tensor, labels: Tensor) -> None:
        """Add a batch of probabilities (n, K) and labels (n,)."""
        self.sums += confidence_sums(probabilities, labels)

    def compute(self) -> Tensor:
        """Return the error, a float64 scalar; NaN without images."""
        return torch.tensor(adaptive_ece(self.sums, self.bins), dtype=torch.float64)
