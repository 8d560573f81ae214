"""Which of the measured strings, windows or passages a language model recites."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitmem.metrics.passage_predictions import PassagePredictions
from vitmem.metrics.runs import RUN, longest_runs
from vitmem.metrics.text_predictions import TextPredictions
from vitmem.metrics.window_predictions import WindowPredictions

if TYPE_CHECKING:
    from torch import Tensor


def recited(predictions: TextPredictions | WindowPredictions | PassagePredictions) -> Tensor:
    """Return which of the measured items are recited, (k,) bool."""
    if isinstance(predictions, PassagePredictions):
        famous = predictions.kinds["famous"]
        return longest_runs((famous.hit & famous.real)[famous.rows]) >= RUN
    equal = predictions.recited == predictions.gold
    if isinstance(predictions, TextPredictions):
        return equal[predictions.strings].all(1)
    return (equal | ~predictions.suffix.real)[predictions.suffix.rows].all(1)
