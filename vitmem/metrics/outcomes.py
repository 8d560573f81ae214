"""What became of each measured item: the yes or no that the shares among the metrics are means of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitmem.metrics.measure import AnyPredictions
from vitmem.metrics.predictions import Predictions
from vitmem.metrics.recited import recited

if TYPE_CHECKING:
    from torch import Tensor


def outcomes(predictions: AnyPredictions) -> dict[str, Tensor]:
    """Return by metric which measured items count in it, (n,) bool each.

    Of images ``memorized`` and ``recovered`` of the wrongly labelled ones and ``validation``, of text ``memorized``.
    """
    if not isinstance(predictions, Predictions):
        return {"memorized": recited(predictions)}
    rows = predictions.noisy_rows
    said = predictions.predicted[rows]
    return {
        "memorized": said == predictions.given[rows],
        "recovered": said == predictions.true[rows],
        "validation": predictions.validation_predicted == predictions.validation_labels,
    }
