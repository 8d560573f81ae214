"""Recitation of memorized windows, and the loss on held-out text."""

from __future__ import annotations

from vitmem.language.metrics.recitation import recited_like
from vitmem.language.metrics.runs import next_token_scores
from vitmem.language.metrics.window_predictions import WindowPredictions
from vitmem.registry import METRICS


@METRICS.register(
    "windows",
    summary="suffixes recited after their prefixes, and what they and held-out text cost",
    protocols=("windows",),
)
def windows(predictions: WindowPredictions, base: WindowPredictions) -> dict[str, float]:
    """Return memorized, loose, distance and prefix of the recited suffixes, and suffix_loss and suffix_accuracy.

    The last two are by tokens, each predicted from the real ones before it, losses in nats. ``validation`` and
    ``perplexity`` are those of held-out text, by tokens. See ``vitmem.language.metrics.recitation.recited_like``.
    """
    suffix = predictions.suffix
    recited, gold, real = (t[suffix.rows] for t in (predictions.recited, predictions.gold, suffix.real))
    return {
        **recited_like(recited, gold, real),
        "suffix_loss": float(suffix.measured(suffix.loss).double().mean()),
        "suffix_accuracy": float(suffix.measured(suffix.hit).double().mean()),
        **next_token_scores(predictions.held_out),
    }
