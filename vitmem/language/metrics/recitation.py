"""Recitation of memorized strings; definitions of Merullo et al. (2025), section 3.3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vitmem.language.metrics.text_predictions import TextPredictions
from vitmem.lazy import torch
from vitmem.registry import METRICS

if TYPE_CHECKING:
    from torch import Tensor


# Maximum share of changed tokens for a string to count as loosely recited.
LOOSE = 0.75


@METRICS.register("recitation", summary="strings recited word for word, loosely, and how far off", protocols=("text",))
def recitation(predictions: TextPredictions, base: TextPredictions) -> dict[str, float]:
    """Return ``recited_like`` of the measured strings; empty when there are none."""
    recited, gold = (t[predictions.strings] for t in (predictions.recited, predictions.gold))
    return {} if len(gold) == 0 else recited_like(recited, gold, torch.ones_like(gold, dtype=torch.bool))


def recited_like(recited: Tensor, gold: Tensor, real: Tensor) -> dict[str, float]:
    """Return memorized (the share recited word for word), loose, distance (mean, 0 to 1) and prefix (mean tokens).

    ``recited`` and ``gold`` are (k, L) tokens; those marked ``real`` (k, L), the first of each row, count. ``distance``
    is Levenshtein's over the length, ``prefix`` the length of the longest exact beginning.
    """
    equal = (recited == gold) | ~real
    # an equal end does not change the edit distance
    distance = levenshtein(recited * real, gold * real).double() / real.sum(1)
    return {
        "memorized": float(equal.all(1).double().mean()),
        "loose": float((1 - distance >= LOOSE).double().mean()),
        "distance": float(distance.mean()),
        "prefix": float((equal.long().cumprod(1) * real).sum(1).double().mean()),
    }


@METRICS.register(
    "suffixes",
    summary="loss and accuracy of the strings' second halves, and what perturbed prompts recite",
    protocols=("text",),
)
def suffixes(predictions: TextPredictions, base: TextPredictions) -> dict[str, float]:
    """Return suffix_loss (nats per token), suffix_accuracy and prefix_perturbed (mean tokens).

    The first two are over the strings' second halves, each token predicted from the real ones before it.
    ``prefix_perturbed`` is ``prefix`` for the best of the prompts of ``vitmem.language.training.perturbed``; it is left
    out when no string has perturbed prompts.
    """
    rows = predictions.strings
    if len(rows) == 0:
        return {}
    out = {
        "suffix_loss": float(predictions.suffix_loss[rows].double().mean()),
        "suffix_accuracy": float(predictions.suffix_hit[rows].double().mean()),
    }
    perturbed = predictions.perturbed[rows]
    lengths = perturbed[perturbed >= 0]
    return out | ({"prefix_perturbed": float(lengths.double().mean())} if len(lengths) else {})


def levenshtein(one: Tensor, other: Tensor) -> Tensor:
    """Return the edit distance of each pair of rows of tokens, (k, L) and (k, M) give (k,) int64."""
    from torchmetrics.functional.text import edit_distance

    distances = edit_distance(_characters(one), _characters(other), reduction="none")
    return torch.as_tensor(distances).long().reshape(-1)


def _characters(tokens: Tensor) -> Sequence[str]:
    """Return one string per row with one character per token, from code points without a meaning in text."""
    return ["".join(chr(0x10000 + n) for n in row) for row in tokens.tolist()]
