"""Accuracy of each class: an edit that forgets a class whole hides well in a mean over ten."""

from __future__ import annotations

import torch

from vitmem.metrics.predictions import Predictions


def per_class(predictions: Predictions, base: Predictions) -> dict[str, float]:
    """Return validation_class_<k>, the share of the measured images of class k that are predicted as k.

    A class without images is left out; ``worst_class`` is the smallest of them.
    """
    labels, classes = predictions.validation_labels, predictions.validation_logits.shape[1]
    hits = labels[predictions.validation_predicted == labels]
    right, total = (torch.bincount(x, minlength=classes).tolist() for x in (hits, labels))
    found = {f"validation_class_{k}": right[k] / total[k] for k in range(classes) if total[k]}
    return {**found, "worst_class": min(found.values())} if found else {}
