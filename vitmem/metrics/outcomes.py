"""What became of each measured item: the yes or no that the shares among the metrics are means of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitmem.metrics.measure import AnyPredictions
from vitmem.metrics.passage_predictions import PassagePredictions
from vitmem.metrics.predictions import Predictions
from vitmem.metrics.runs import RUN, longest_runs
from vitmem.metrics.text_predictions import TextPredictions
from vitmem.metrics.window_predictions import WindowPredictions

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


def recited(predictions: TextPredictions | WindowPredictions | PassagePredictions) -> Tensor:
    """Return which of the measured items are recited, (k,) bool."""
    if isinstance(predictions, PassagePredictions):
        famous = predictions.kinds["famous"]
        return longest_runs((famous.hit & famous.real)[famous.rows]) >= RUN
    equal = predictions.recited == predictions.gold
    if isinstance(predictions, TextPredictions):
        return equal[predictions.strings].all(1)
    return (equal | ~predictions.suffix.real)[predictions.suffix.rows].all(1)
