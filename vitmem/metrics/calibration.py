"""Calibration on validation images: ECE, adaptive ECE, negative log-likelihood and Brier score."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot
from torchmetrics import Metric
from torchmetrics.functional.classification import multiclass_calibration_error

from vitmem.metrics.predictions import Predictions

BINS = 15
# Equal-mass bins need sorted confidences; sums over fine equal-width bins can be added up over batches
# and ranks instead, and move the edge of a bin by at most 1 / FINE.
FINE = 15_000


def brier_sums(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the sum of squared distances to the one-hot labels and their number, (2,) float64.

    ``probabilities`` is (n, K), ``labels`` (n,) int64.
    """
    target = one_hot(labels, probabilities.shape[1])  # (n, K)
    distance = (probabilities.double() - target).square().sum()
    return torch.stack([distance, distance.new_tensor(len(labels))])


def confidence_sums(probabilities: Tensor, labels: Tensor, fine: int = FINE) -> Tensor:
    """Return number, right predictions and summed confidence by fine bin of confidence, (3, fine) float64.

    ``probabilities`` is (n, K), ``labels`` (n,) int64.
    """
    confidence, predicted = probabilities.double().max(dim=1)  # (n,)
    place = (confidence * fine).long().clamp(0, fine - 1)
    values = torch.stack([torch.ones_like(confidence), (predicted == labels).double(), confidence])  # (3, n)
    return torch.zeros(3, fine, dtype=torch.float64, device=place.device).index_add_(1, place, values)


def adaptive_ece(sums: Tensor, bins: int = BINS) -> float:
    """Return the expected calibration error over bins of equal mass, from ``confidence_sums`` (3, fine).

    A fine bin that lies across an edge is shared out in proportion (its images count as tied).
    Nixon et al. 2019, arXiv 1904.01685, top label, l1. NaN without images.
    """
    ends = sums.cumsum(dim=1)  # (3, fine)
    ends = torch.cat([torch.zeros_like(ends[:, :1]), ends], dim=1)  # (3, fine + 1)
    total = ends[0, -1]
    edges = torch.arange(bins + 1, dtype=ends.dtype, device=ends.device) / bins * total
    left = torch.searchsorted(ends[0], edges, right=True).clamp(1, ends.shape[1] - 1) - 1  # (bins + 1,)
    mass = sums[0, left]
    share = torch.where(mass > 0, (edges - ends[0, left]) / mass.clamp(min=1e-300), 0.0).clamp(0, 1)
    at_edges = ends[1:, left] + share * sums[1:, left]  # (2, bins + 1)
    right, confidence = at_edges.diff(dim=1)  # (bins,)
    return float((right - confidence).abs().sum() / total)


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


def calibration(predictions: Predictions, base: Predictions) -> dict[str, float]:
    """Return ece (15 bins, l1), adaptive_ece, nll (nats) and brier (0 to 2) on the validation half."""
    logits = predictions.validation_logits[predictions.validation_rows].double()  # (v, K)
    labels = predictions.validation_labels
    if len(labels) == 0:
        return {}
    probabilities = logits.softmax(dim=1)
    classes = logits.shape[1]
    distance, count = brier_sums(probabilities, labels)
    return {
        "ece": float(multiclass_calibration_error(probabilities, labels, num_classes=classes, n_bins=BINS)),
        "adaptive_ece": adaptive_ece(confidence_sums(probabilities, labels)),
        "nll": float(cross_entropy(logits, labels)),
        "brier": float(distance / count),
    }
