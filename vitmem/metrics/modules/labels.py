"""Memorized, recovered and other over batches and ranks."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from vitmem.metrics.labels import label_counts, label_shares


class LabelShares(Metric):
    """Memorized, recovered and other over batches and ranks, from sums only (so the reduction is exact).

    Update with predicted, given and true classes, (n,) int64 each; compute returns a dict of floats.
    """

    counts: Tensor
    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        self.add_state("counts", torch.zeros(3, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, given: Tensor, true: Tensor) -> None:
        """Add a batch of predicted, given and true classes, (n,) each."""
        self.counts += label_counts(predicted, given, true)

    def compute(self) -> dict[str, float]:
        """Return the shares; empty when no image with a wrong label was seen."""
        return label_shares(self.counts)
