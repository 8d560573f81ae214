"""Memory and accuracy of a network with its edited matrices set to zero."""

from __future__ import annotations

from vitmem.metrics.labels import labels
from vitmem.metrics.predictions import Predictions
from vitmem.registry import METRICS


@METRICS.register("headroom", summary="memorized, recovered and validation with the edited matrices at zero")
def headroom(predictions: Predictions, base: Predictions) -> dict[str, float]:
    """Return ``ablated_memorized``, ``ablated_recovered`` and ``ablated_validation``: the edited matrices at zero.

    Remaining memory is stored elsewhere, out of reach of any edit of these matrices; remaining validation accuracy does
    not depend on them, so shrinking them costs nothing. Empty when no matrix is edited.
    """
    if predictions.ablated is None:
        return {}
    left = labels(predictions.ablated, base)
    return {f"ablated_{name}": left[name] for name in ("memorized", "recovered", "validation") if name in left}
