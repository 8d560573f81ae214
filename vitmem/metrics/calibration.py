"""Calibration on validation images: ECE, adaptive ECE, negative log-likelihood and Brier score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitmem.lazy import torch
from vitmem.metrics.predictions import Predictions
from vitmem.registry import METRICS

if TYPE_CHECKING:
    from torch import Tensor


BINS = 15
# Equal-mass bins need sorted confidences; sums over fine equal-width bins can be added over batches and ranks
# instead, and move the edge of a bin by at most 1 / FINE.
FINE = 15_000


def brier_sums(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the sum of squared distances to the one-hot labels and their number, (2,) float64.

    ``probabilities`` is (n, K), ``labels`` (n,) int64.
    """
    target = torch.nn.functional.one_hot(labels, probabilities.shape[1])  # (n, K)
    distance = (probabilities.double() - target).square().sum()
    return torch.stack([distance, distance.new_tensor(len(labels))])


def confidence_sums(probabilities: Tensor, labels: Tensor, fine: int = FINE) -> Tensor:
    """Return count, correct predictions and summed confidence by fine bin of confidence, (3, fine) float64.

    ``probabilities`` is (n, K), ``labels`` (n,) int64.
    """
    confidence, predicted = probabilities.double().max(dim=1)  # (n,)
    place = (confidence * fine).long().clamp(0, fine - 1)
    values = torch.stack([torch.ones_like(confidence), (predicted == labels).double(), confidence])  # (3, n)
    return torch.zeros(3, fine, dtype=torch.float64, device=place.device).index_add_(1, place, values)


def adaptive_ece(sums: Tensor, bins: int = BINS) -> float:
    """Return the expected calibration error over bins of equal mass, from ``confidence_sums`` (3, fine).

    A fine bin that crosses an edge is split in proportion (its images count as tied).
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


@METRICS.register("calibration", summary="ece, adaptive_ece, nll and brier on validation")
def calibration(predictions: Predictions, base: Predictions) -> dict[str, float]:
    """Return ece (15 bins, l1), adaptive_ece, nll (nats) and brier (0 to 2) on the validation half."""
    from torchmetrics.functional.classification import multiclass_calibration_error

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
        "nll": float(torch.nn.functional.cross_entropy(logits, labels)),
        "brier": float(distance / count),
    }
