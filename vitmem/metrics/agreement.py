"""Agreement of an edited model with the unedited one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitmem.lazy import torch
from vitmem.metrics.predictions import Predictions
from vitmem.registry import METRICS

if TYPE_CHECKING:
    from torch import Tensor


def flip_counts(before: Tensor, after: Tensor, labels: Tensor) -> Tensor:
    """Count equal predictions, right-to-wrong flips, wrong-to-right flips, and all: (4,) int64.

    ``before``, ``after`` and ``labels`` are classes, (n,) int64 each.
    """
    was_right, is_right = before == labels, after == labels
    rows = [before == after, was_right & ~is_right, ~was_right & is_right, torch.ones_like(was_right)]
    return torch.stack(rows).sum(dim=1)


@METRICS.register("agreement", summary="share of equal predictions with the base, and flips both ways")
def agreement(predictions: Predictions, base: Predictions) -> dict[str, float]:
    """Return agreement, right_to_wrong and wrong_to_right as shares of the validation half."""
    counts = flip_counts(base.validation_predicted, predictions.validation_predicted, predictions.validation_labels)
    same, lost, won, total = counts.tolist()
    if total == 0:
        return {}
    return {"agreement": same / total, "right_to_wrong": lost / total, "wrong_to_right": won / total}
