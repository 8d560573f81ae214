"""Detection of wrong labels from the features of the network, with cross-validated classifiers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from vitmem.bench.analyses.base import AnalysisContext, Row
from vitmem.data.augment import normalise
from vitmem.data.sets import ImageData
from vitmem.edits.training import classifier, collect_features
from vitmem.kfac.layers import eval_mode
from vitmem.lazy import extra
from vitmem.metrics.detection import detect
from vitmem.metrics.predictions import loss, negative_margin

FOLDS, BATCH, MOST = 5, 250, 2000  # folds, images per batch, iterations of L-BFGS
WHO = "analysis 'detection'"
Scores = dict[str, Tensor]


def detection(context: AnalysisContext) -> Iterator[Row]:
    """Yield AUROC and average precision of scores of training images: noisy images of the report half, all clean ones.

    Loss and margin are those of the network on the given labels. The cleanlab scores, self-confidence and normalised
    margin (Northcutt et al. 2021, "Confident Learning", arXiv 1911.00068), use out-of-fold probabilities of a logistic
    regression on the features of the network, which was trained on all labels itself. ``flagged`` is the share of
    images with a label issue by cleanlab's threshold-free rule. Yields nothing for text.
    """
    found = context.session.experiment.images
    if found is None or not len(found[1].noisy_report):
        return
    noisy, halves = found
    given = noisy.given
    logits, features = _seen(context.session.experiment.net, noisy.data)
    probabilities = cross_validated(features.numpy(), given.numpy())
    wrong = torch.zeros(len(given), dtype=torch.bool)
    wrong[halves.noisy_report] = True
    rows = torch.nonzero(wrong | ~noisy.noisy).flatten()
    scores = {"loss": loss(logits, given), "margin": negative_margin(logits, given)}
    for name, score in {**scores, **cleanlab_scores(probabilities, given.numpy())}.items():
        auroc, ap = detect(score[rows], wrong[rows])
        yield {
            **context.head,
            "score": name,
            "auroc": auroc,
            "ap": ap,
            "images": len(rows),
            "noisy": int(wrong.sum()),
            "flagged": flagged(probabilities, given.numpy()) if name.startswith("cleanlab") else None,
        }


def _seen(net: nn.Module, data: ImageData) -> tuple[Tensor, Tensor]:
    """Return logits (N, K) and features (N, q) of the training images, without augmentation."""
    device = next(net.parameters()).device
    out: list[Tensor] = []

    def run(rows: Tensor) -> Iterator[Tensor]:
        for some in rows.split(BATCH):
            out.append(net(normalise(data.train.images[some].to(device), data.mean, data.std)).float())
            yield out[-1]

    with eval_mode(net), torch.no_grad():
        _, layer = classifier(net, run(torch.arange(1)), WHO)
        out.clear()
        features = collect_features(layer, run(torch.arange(len(data.train))), WHO)
    return torch.cat(out).cpu(), features


def cross_validated(features: NDArray[np.float64], given: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return out-of-fold probabilities (n, K) of a logistic regression on features (n, q) and labels (n,)."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=MOST))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    out: NDArray[np.float64] = cross_val_predict(model, features, given, cv=folds, method="predict_proba")
    return out


def cleanlab_scores(probabilities: NDArray[np.float64], given: NDArray[np.int64]) -> Scores:
    """Return cleanlab's two scores (n,), high = suspect, of out-of-fold probabilities (n, K) and given labels (n,)."""
    rank = extra("cleanlab.rank", "cleanlab")
    scored = {
        "cleanlab_self_confidence": rank.get_self_confidence_for_each_label,
        "cleanlab_margin": rank.get_normalized_margin_for_each_label,
    }
    return {name: -torch.from_numpy(np.asarray(score(given, probabilities))) for name, score in scored.items()}


def flagged(probabilities: NDArray[np.float64], given: NDArray[np.int64]) -> float:
    """Return the share of label issues found by cleanlab for probabilities (n, K) and given labels (n,)."""
    found = extra("cleanlab.filter", "cleanlab").find_label_issues(given, probabilities, n_jobs=1)
    return float(np.mean(found))
