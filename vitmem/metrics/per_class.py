"""Accuracy and memory of each class: a mean over ten classes hides an edit that forgets one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitmem.lazy import torch
from vitmem.metrics.predictions import Predictions
from vitmem.registry import METRICS

if TYPE_CHECKING:
    from torch import Tensor


@METRICS.register("per_class", summary="validation accuracy of each class, and of the worst; memorized by given class")
def per_class(predictions: Predictions, base: Predictions) -> dict[str, float]:
    """Return validation_class_<k>, the share of the measured images of class k that are predicted as k.

    A class without images is left out; ``worst_class`` is the smallest share. memorized_class_<k> is the recited share
    of the measured wrong labels k.
    """
    classes, rows = predictions.validation_logits.shape[1], predictions.noisy_rows
    shares = _shares("validation_class", predictions.validation_labels, predictions.validation_predicted, classes)
    worst = {"worst_class": min(shares.values())} if shares else {}
    recited = _shares("memorized_class", predictions.given[rows], predictions.predicted[rows], classes)
    return {**shares, **worst, **recited}


def _shares(name: str, labels: Tensor, predicted: Tensor, classes: int) -> dict[str, float]:
    """Return, for each class among ``labels`` (n,), the share with that class in ``predicted`` (n,)."""
    right, total = (torch.bincount(x, minlength=classes).tolist() for x in (labels[predicted == labels], labels))
    return {f"{name}_{k}": right[k] / total[k] for k in range(classes) if total[k]}
