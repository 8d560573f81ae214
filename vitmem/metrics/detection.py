"""Detection of wrong labels: ranking of noisy before clean training images by a score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitmem.lazy import torch
from vitmem.metrics.predictions import Predictions
from vitmem.registry import METRICS

if TYPE_CHECKING:
    from torch import Tensor


def detect(score: Tensor, noisy: Tensor) -> tuple[float, float]:
    """Return AUROC and average precision of ``score`` (n,), high = suspect, for ``noisy`` (n,) bool.

    Scores are replaced by their ranks, keeping ties: the library applies a sigmoid to scores outside [0, 1], which ties
    large ones.
    """
    from torchmetrics.functional.classification import binary_auroc, binary_average_precision

    values, rank = torch.unique(score, return_inverse=True)
    unit = rank.double() / max(len(values) - 1, 1)  # (n,) in [0, 1]
    target = noisy.long()
    return float(binary_auroc(unit, target)), float(binary_average_precision(unit, target))


@METRICS.register("detection", summary="AUROC and average precision of noisy-label scores")
def detection(predictions: Predictions, base: Predictions) -> dict[str, float]:
    """Return auroc_* and ap_* of the base's loss and negative margin, and of the loss rise under the edit.

    The noisy half is compared with all clean training images. The loss rise is left out when no loss changed (the base
    itself), everything when either set is empty.
    """
    rows = torch.cat([predictions.noisy_rows, predictions.clean_rows])
    if len(predictions.noisy_rows) == 0 or len(predictions.clean_rows) == 0:
        return {}
    noisy = torch.arange(len(rows)) < len(predictions.noisy_rows)
    before = base.losses[rows]
    rise = predictions.losses[rows] - before
    scores = {"loss": before, "margin": base.negative_margins[rows]}
    if bool((rise != 0).any()):
        scores["loss_rise"] = rise
    out: dict[str, float] = {}
    for name, score in scores.items():
        out[f"auroc_{name}"], out[f"ap_{name}"] = detect(score, noisy)
    return out
