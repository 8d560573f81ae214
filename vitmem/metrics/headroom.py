"""What is left of a network whose edited matrices are zero: what they remember, and what passes around them."""

from __future__ import annotations

from vitmem.metrics.labels import labels
from vitmem.metrics.predictions import Predictions
from vitmem.registry import METRICS


@METRICS.register("headroom", summary="memorized, recovered and validation with the edited matrices at zero")
def headroom(predictions: Predictions, base: Predictions) -> dict[str, float]:
    """Return ``ablated_memorized``, ``ablated_recovered`` and ``ablated_validation``: the edited matrices at zero.

    What is memorized then lies elsewhere, and no edit of these matrices reaches it; what is right on validation passes
    around them, so that shrinking them costs nothing. Empty where no matrix is edited.
    """
    if predictions.ablated is None:
        return {}
    left = labels(predictions.ablated, base)
    return {f"ablated_{name}": left[name] for name in ("memorized", "recovered", "validation") if name in left}
