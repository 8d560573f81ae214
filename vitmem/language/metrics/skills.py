"""Remaining skills of a language model: answers by family, facts by frequency, held-out text."""

from __future__ import annotations

from vitmem.language.metrics.runs import next_token_scores
from vitmem.language.metrics.text_predictions import TextPredictions
from vitmem.lazy import torch
from vitmem.registry import METRICS

# Facts in three bins of equal size by their number of occurrences in training.
BINS = ("rare", "middle", "frequent")


@METRICS.register("skills", summary="answers by family, retained too", protocols=("text",))
def skills(predictions: TextPredictions, base: TextPredictions) -> dict[str, float]:
    """Return accuracy_<family>, and retention_<family>, the accuracy over that of the base (it may exceed one).

    A family whose questions differ in exposure also has both for each third, from rare to frequent.
    """
    out: dict[str, float] = {}
    for family, right in predictions.right.items():
        before, exposure = base.right[family], predictions.exposure[family]
        parts = {family: torch.arange(len(right))}
        if len(exposure.unique()) > 1:
            order = torch.argsort(exposure, stable=True)
            thirds = zip(BINS, order.tensor_split(len(BINS)), strict=True)
            parts |= {f"{family}_{name}": rows for name, rows in thirds}
        for name, rows in parts.items():
            out[f"accuracy_{name}"] = float(right[rows].double().mean())
            if before[rows].any():
                out[f"retention_{name}"] = float(right[rows].double().mean() / before[rows].double().mean())
    return out


@METRICS.register("held_out_text", summary="next tokens of held-out text: accuracy and perplexity", protocols=("text",))
def held_out_text(predictions: TextPredictions, base: TextPredictions) -> dict[str, float]:
    """Return validation (the share of next tokens that are the likeliest) and perplexity, by tokens."""
    hits = predictions.held_out
    return next_token_scores(hits) if len(hits.rows) else {}
