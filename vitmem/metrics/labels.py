"""Predictions on wrongly labelled images: the given label, the true one, or another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitmem.lazy import torch
from vitmem.metrics.predictions import Predictions
from vitmem.registry import METRICS

if TYPE_CHECKING:
    from torch import Tensor


def label_counts(predicted: Tensor, given: Tensor, true: Tensor) -> Tensor:
    """Count wrongly labelled images predicted as given, as true, and all of them: (3,) int64.

    ``predicted``, ``given`` and ``true`` are (n,) int64; images with given == true are left out.
    """
    wrong = given != true  # (n,)
    hits = torch.stack([wrong & (predicted == given), wrong & (predicted == true), wrong])  # (3, n)
    return hits.sum(dim=1)


def label_shares(counts: Tensor) -> dict[str, float]:
    """Return memorized, recovered and other from ``label_counts`` (3,); empty when no image is noisy."""
    memorized, recovered, total = (int(c) for c in counts)
    if total == 0:
        return {}
    return {
        "memorized": memorized / total,
        "recovered": recovered / total,
        "other": (total - memorized - recovered) / total,
    }


def accuracy(predicted: Tensor, labels: Tensor) -> float | None:
    """Return the share of equal entries of two (n,) tensors, ``None`` when they are empty."""
    return int((predicted == labels).sum()) / len(labels) if len(labels) else None


def _shares(predictions: Predictions, rows: Tensor) -> dict[str, float]:
    columns = (predictions.predicted, predictions.given, predictions.true)
    return label_shares(label_counts(*(column[rows] for column in columns)))


@METRICS.register("labels", summary="memorized, recovered, other, clean_train, validation, gap")
def labels(predictions: Predictions, base: Predictions) -> dict[str, float]:
    """Return memorized, recovered, other, clean_train, validation and gap (clean_train - validation)."""
    clean = predictions.clean_rows
    out = _shares(predictions, predictions.noisy_rows)
    clean_train = accuracy(predictions.predicted[clean], predictions.true[clean])
    validation = accuracy(predictions.validation_predicted, predictions.validation_labels)
    if clean_train is not None:
        out["clean_train"] = clean_train
    if validation is not None:
        out["validation"] = validation
    if clean_train is not None and validation is not None:
        out["gap"] = clean_train - validation
    return out


@METRICS.register("conditional", summary="the same on the wrong labels that the base recites; selectivity")
def conditional(predictions: Predictions, base: Predictions) -> dict[str, float]:
    """Return conditional_* on the wrong labels that the base recites, and the selectivity of the edit.

    ``selectivity`` is the drop of memorized over the drop of clean_train, left out when the latter is 0.
    """
    rows = base.noisy_rows[base.predicted[base.noisy_rows] == base.given[base.noisy_rows]]
    out = {f"conditional_{name}": value for name, value in _shares(predictions, rows).items()}
    before, after = labels(base, base), labels(predictions, base)
    if "memorized" in before and "clean_train" in before:
        lost = before["clean_train"] - after["clean_train"]
        if lost != 0:
            out["selectivity"] = (before["memorized"] - after["memorized"]) / lost
    return out


@METRICS.register("reference", summary="what a model that never saw an image would have memorized and recovered")
def reference(predictions: Predictions, base: Predictions) -> dict[str, float]:
    """Return the scores of this model on the noisy images if it had never seen them.

    ``reference_memorized`` is the mean over the noisy images of the share of validation images of the same true class
    that are predicted as the given class, ``reference_recovered`` as the true class. Under symmetric noise the first is
    about (1 - validation) / (K - 1), the second about validation; this form holds for any noise. Noisy images of a
    class without validation images are left out.
    """
    classes = predictions.validation_logits.shape[1]
    confusion = torch.zeros(classes, classes, dtype=torch.float64)  # (K, K), rows = true class
    pairs = (predictions.validation_labels, predictions.validation_predicted)
    confusion.index_put_(pairs, torch.ones(len(pairs[0]), dtype=torch.float64), accumulate=True)
    totals = confusion.sum(dim=1)  # (K,)
    rows = predictions.noisy_rows
    rows = rows[totals[predictions.true[rows]] > 0]
    if len(rows) == 0:
        return {}
    given, true = predictions.given[rows], predictions.true[rows]
    return {
        "reference_memorized": float((confusion[true, given] / totals[true]).mean()),
        "reference_recovered": float((confusion[true, true] / totals[true]).mean()),
    }
