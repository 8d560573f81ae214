"""Effects of an edit measured without true labels and without knowing which labels are wrong.

Inputs are the given labels of the training images and all logits. Held-out images are the measured validation images
without their labels. Rules that choose a setting from these measures are in ``vitmem.reports.rules``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vitmem.lazy import torch
from vitmem.metrics.predictions import Predictions
from vitmem.registry import METRICS

if TYPE_CHECKING:
    from torch import Tensor


NEIGHBOURS = 10
# Number of query images, and of candidates for their neighbours; larger sets are subsampled evenly.
QUERIES, SOUGHT = 2_000, 10_000


@METRICS.register(
    "label_free", summary="what an edit changes, without a true label: given labels kept, confidence, neighbours' votes"
)
def label_free(predictions: Predictions, base: Predictions) -> dict[str, float]:
    """Return the measures of an edit against ``base`` without true labels, except those of ``mixtures``.

    given_train: share of the training images predicted as their given label, right or wrong. train_changed: share with
    a prediction other than the base's. train_loss: mean loss on given labels, nats; train_loss_rise: its rise.
    held_out_confidence: mean probability of the predicted class. held_out_balance: entropy of the predicted classes
    over log K, 1 for equal frequencies. judged_change: change of the accuracy on held-out images if their labels were
    drawn from the mean probabilities of the two networks. knn_backed and knn_unbacked: share of the training images
    predicted against their given label, with and without their neighbours' vote.
    """
    given, logits = predictions.given, predictions.train_logits
    losses = predictions.losses
    rise = losses - base.losses
    out = {
        "given_train": float((predictions.predicted == given).double().mean()),
        "train_changed": float((predictions.predicted != base.predicted).double().mean()),
        "train_loss": float(losses.mean()),
        "train_loss_rise": float(rise.mean()),
        **backing(logits, given),
    }
    rows = predictions.validation_rows
    after, before = (p.validation_logits[rows].double().softmax(dim=1) for p in (predictions, base))  # (v, K)
    if len(rows):
        predicted, predicted_before = after.argmax(dim=1), before.argmax(dim=1)  # (v,)
        both, each = (after + before) / 2, torch.arange(len(rows))
        out["held_out_confidence"] = float(after.amax(dim=1).mean())
        out["held_out_balance"] = balance(predicted, after.shape[1])
        out["judged_change"] = float((both[each, predicted] - both[each, predicted_before]).mean())
    return out


@METRICS.register("mixtures", summary="two components of the losses on given labels, and of their rise")
def mixtures(predictions: Predictions, base: Predictions) -> dict[str, float]:
    """Fit two components to the losses on given labels, and to their rise under the edit.

    loss_upper_share: weight of the high-loss component (Li et al. 2020, DivideMix, arXiv 2002.07394), for the base an
    estimate of the share of wrong labels. loss_rise_separation: Ashman's D of the two components of the rise, above 2
    when they are separate (Ashman et al. 1994). Values with too little variation for two components are left out.
    """
    after, before = predictions.losses, base.losses
    own, risen = two_components(after.numpy()), two_components((after - before).numpy())
    out = {} if own is None else {"loss_upper_share": own[0]}
    return out if risen is None else {**out, "loss_rise_separation": risen[1]}


def two_components(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the weight of the upper of two Gaussian components of ``values`` (n,) and their separation.

    Values are rescaled to [0, 1] first and variances bounded below by 5e-4, as in DivideMix. The separation is Ashman's
    D = sqrt(2) |m1 - m2| / sqrt(s1^2 + s2^2). ``None`` for fewer than two different values.
    """
    from sklearn.mixture import GaussianMixture

    if len(np.unique(values)) < 2:
        return None
    scaled = (values - values.min()) / np.ptp(values)
    mixture = GaussianMixture(2, reg_covar=5e-4, random_state=0).fit(scaled[:, None])
    means, variances = mixture.means_[:, 0], mixture.covariances_[:, 0, 0]
    separation = math.sqrt(2) * abs(means[0] - means[1]) / math.sqrt(variances.sum())
    return float(mixture.weights_[means.argmax()]), float(separation)


def balance(predicted: Tensor, classes: int) -> float:
    """Return the entropy of the class frequencies of predictions (n,) int64 over log ``classes``: 0 to 1."""
    shares = torch.bincount(predicted, minlength=classes).double() / len(predicted)
    return float(torch.special.entr(shares).sum()) / math.log(classes)


def backing(logits: Tensor, given: Tensor) -> dict[str, float]:
    """Return knn_backed and knn_unbacked from logits (n, K) and given labels (n,); empty for too few images.

    The neighbours of an image are the nearest other images in logits (Euclidean); each votes with its given label, and
    ties go to the lowest class. Many images are subsampled evenly.
    """
    sought = spaced(len(given), SOUGHT)
    if len(sought) <= NEIGHBOURS:
        return {}
    some, labels = logits[sought].double(), given[sought]
    queries = spaced(len(sought), QUERIES)
    # only these need neighbours: all distances would dominate the time of a small network's cell
    against = queries[some[queries].argmax(dim=1) != labels[queries]]  # (a,)
    distance = torch.cdist(some[against], some)  # (a, n)
    distance[torch.arange(len(against)), against] = torch.inf
    near = distance.topk(NEIGHBOURS, largest=False).indices  # (a, k)
    vote = torch.nn.functional.one_hot(labels[near], logits.shape[1]).sum(dim=1).argmax(dim=1)  # (a,)
    backed = int((some[against].argmax(dim=1) == vote).sum())
    return {"knn_backed": backed / len(queries), "knn_unbacked": (len(against) - backed) / len(queries)}


def spaced(count: int, most: int) -> Tensor:
    """Return at most ``most`` of ``count`` positions, evenly spaced from the first, (k,) int64."""
    return torch.arange(min(count, most)) * count // max(min(count, most), 1)
