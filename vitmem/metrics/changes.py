"""How far an edit changed the very items that it is measured on, with intervals over the items.

The interval is that of a paired bootstrap (Efron and Tibshirani 1993, chapter 8): items are drawn with replacement,
and edited and unedited model are compared on the same draw, so what makes an item hard for both cancels.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import bootstrap
from torch import Tensor

from vitmem.metrics.passage_predictions import PassagePredictions
from vitmem.metrics.runs import RUN, longest_runs
from vitmem.metrics.text_predictions import TextPredictions
from vitmem.metrics.window_predictions import WindowPredictions

RESAMPLES, LEVEL = 2000, 0.95


def changes_of_texts(predictions: TextPredictions, base: TextPredictions) -> dict[str, float]:
    """Return memorized_change, _low and _high over the measured strings; nothing when there are none."""
    rows = predictions.strings
    if len(rows) == 0:
        return {}
    return _named("memorized", *((p.recited == p.gold)[rows].all(1) for p in (predictions, base)))


def changes_of_windows(predictions: WindowPredictions, base: WindowPredictions) -> dict[str, float]:
    """Return memorized_change, _low and _high over the measured windows."""
    rows = predictions.suffix.rows
    recited = (((p.recited == p.gold) | ~p.suffix.real)[rows].all(1) for p in (predictions, base))
    return _named("memorized", *recited)


def changes_of_passages(predictions: PassagePredictions, base: PassagePredictions) -> dict[str, float]:
    """Return memorized_change of the famous passages and control_loss_change (nats), with _low and _high each."""
    famous, control = ([p.kinds[kind] for p in (predictions, base)] for kind in ("famous", "control"))
    recited = (longest_runs((f.hit & f.real)[f.rows]) >= RUN for f in famous)
    losses = ((torch.where(c.real, c.loss.double(), 0.0).sum(1) / c.real.sum(1))[c.rows] for c in control)
    return _named("memorized", *recited) | _named("control_loss", *losses)


def _named(name: str, edited: Tensor, base: Tensor) -> dict[str, float]:
    """Return the mean difference of two (n,) outcomes of the same items and the ends of its interval."""
    difference = (edited.double() - base.double()).numpy()
    mean = low = high = float(difference.mean())
    if len(difference) > 1 and bool((difference != difference[0]).any()):
        found = bootstrap(
            (difference,),
            np.mean,
            n_resamples=RESAMPLES,
            confidence_level=LEVEL,
            method="percentile",
            random_state=np.random.default_rng(0),
        )
        low, high = (float(end) for end in found.confidence_interval)
    return {f"{name}_change": mean, f"{name}_change_low": low, f"{name}_change_high": high}
