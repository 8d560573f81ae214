"""Verbatim recitation of passages: the longest run of correctly predicted tokens."""

from __future__ import annotations

import math

from vitmem.language.metrics.passage_predictions import RUN, PassagePredictions, longest_runs
from vitmem.language.metrics.token_hits import TokenHits
from vitmem.registry import METRICS


@METRICS.register("runs", summary="passages recited, held-out loss", protocols=("passages",))
def runs(predictions: PassagePredictions, base: PassagePredictions) -> dict[str, float]:
    """Return memorized and control_recited (shares of the passages with a run of 16 tokens), mean runs and losses.

    ``validation`` and ``perplexity`` are those of held-out text, by tokens; losses are in nats per token.
    """
    out: dict[str, float] = {}
    for kind, hits in predictions.kinds.items():
        if kind == "held_out":
            out |= next_token_scores(hits)
            continue
        longest = longest_runs((hits.hit & hits.real)[hits.rows])
        name = "memorized" if kind == "famous" else f"{kind}_recited"
        out[name] = float((longest >= RUN).double().mean())
        out[f"{kind}_run"] = float(longest.double().mean())
        out[f"{kind}_loss"] = float(hits.measured(hits.loss).double().mean())
    return out


def next_token_scores(found: TokenHits) -> dict[str, float]:
    """Return validation (the share of next tokens that are the likeliest) and perplexity, by tokens."""
    return {
        "validation": float(found.measured(found.hit).double().mean()),
        "perplexity": math.exp(float(found.measured(found.loss).double().mean())),
    }
