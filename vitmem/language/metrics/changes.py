"""Change of each measured item under an edit, with intervals over the items.

The interval is that of a paired bootstrap (Efron and Tibshirani 1993, chapter 8): items are drawn with replacement,
and edited and unedited model are compared on the same draw, so the difficulty of items cancels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vitmem.language.metrics.passage_predictions import PassagePredictions
from vitmem.language.metrics.text_predictions import TextPredictions
from vitmem.language.metrics.token_hits import TokenHits
from vitmem.language.metrics.window_predictions import WindowPredictions
from vitmem.lazy import torch
from vitmem.registry import METRICS

if TYPE_CHECKING:
    from torch import Tensor


RESAMPLES, LEVEL = 2000, 0.95


@METRICS.register(
    "changes",
    summary="change of what is recited, with a paired bootstrap over the items",
    protocols=("text", "passages", "windows"),
)
def changes(
    predictions: TextPredictions | WindowPredictions | PassagePredictions,
    base: TextPredictions | WindowPredictions | PassagePredictions,
) -> dict[str, float]:
    """Return memorized_change, _low and _high over the measured strings, windows or famous passages.

    For passages also control_loss_change (nats). Empty when no item is measured.
    """
    outcomes = [p.outcomes()["memorized"] for p in (predictions, base)]
    out = _named("memorized", *outcomes) if len(outcomes[0]) else {}
    if isinstance(predictions, PassagePredictions) and isinstance(base, PassagePredictions):
        out |= _named("control_loss", *(_losses(p.kinds["control"]) for p in (predictions, base)))
    return out


def _losses(hits: TokenHits) -> Tensor:
    """Return the mean loss of each measured text, (k,) float64 nats per token."""
    return (torch.where(hits.real, hits.loss.double(), 0.0).sum(1) / hits.real.sum(1))[hits.rows]


def _named(name: str, edited: Tensor, base: Tensor) -> dict[str, float]:
    """Return the mean difference of two (n,) outcomes of the same items, with the ends of its interval."""
    from scipy.stats import bootstrap

    difference = (edited.double() - base.double()).numpy()
    mean = low = high = float(difference.mean())
    if len(difference) > 1 and bool((difference != difference[0]).any()):
        interval = bootstrap(
            (difference,),
            np.mean,
            n_resamples=RESAMPLES,
            confidence_level=LEVEL,
            method="percentile",
            random_state=np.random.default_rng(0),
        )
        low, high = (float(end) for end in interval.confidence_interval)
    return {f"{name}_change": mean, f"{name}_change_low": low, f"{name}_change_high": high}
