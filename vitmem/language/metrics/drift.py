"""Change of predictions on clean text: losses and likeliest tokens, token by token."""

from __future__ import annotations

from vitmem.language.metrics.token_hits import ReadsText, TokenHits
from vitmem.registry import METRICS


@METRICS.register(
    "drift",
    summary="how far losses and likeliest tokens of clean text have moved",
    protocols=("text", "passages", "windows"),
)
def drift(predictions: ReadsText, base: ReadsText) -> dict[str, float]:
    """Return drift, drift_signed (mean absolute and mean change of the loss, nats per token) and drift_changed.

    ``drift_changed`` is the share of positions with another likeliest token. All are over the positions of held-out
    text and, prefixed with ``control_``, of control passages. A rising loss is a positive change.
    """
    out: dict[str, float] = {}
    for prefix, hits in predictions.clean.items():
        if len(hits.rows):
            moved = _moved(hits, base.clean[prefix])
            out |= {f"{prefix}{name}": value for name, value in moved.items()}
    return out


def _moved(found: TokenHits, before: TokenHits) -> dict[str, float]:
    change = found.measured(found.loss).double() - before.measured(before.loss).double()  # (m,)
    changed = found.measured(found.said) != before.measured(before.said)
    return {
        "drift": float(change.abs().mean()),
        "drift_signed": float(change.mean()),
        "drift_changed": float(changed.double().mean()),
    }
