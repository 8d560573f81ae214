"""Accuracy on subsets of the validation images, and agreement with human votes."""

from __future__ import annotations

from vitmem.lazy import torch
from vitmem.metrics.labels import accuracy
from vitmem.metrics.predictions import Predictions
from vitmem.registry import METRICS


@METRICS.register("views", summary="validation on what a suite's 'views' leave of the images; agreement with people")
def views(predictions: Predictions, base: Predictions) -> dict[str, float]:
    """Return validation_<view> of the measured images for each view of the predictions.

    For a subset (V,) bool it is the accuracy on it; for shares of votes (V, K) the expected agreement with a voter, the
    mean share of the predicted class (Peterson et al. 2019). A view without images is left out.
    """
    out = {}
    for name, view in predictions.views.items():
        some, predicted = view[predictions.validation_rows], predictions.validation_predicted
        if some.dtype == torch.bool:
            value = accuracy(predicted[some], predictions.validation_labels[some])
        else:
            value = float(some.gather(1, predicted[:, None]).mean()) if len(some) else None
        if value is not None:
            out[f"validation_{name}"] = value
    return out
