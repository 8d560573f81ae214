"""Synthetic predictions for each text protocol, on which every metric is defined."""

from __future__ import annotations

from vitmem.language.metrics.passage_predictions import PassagePredictions
from vitmem.language.metrics.text_predictions import TextPredictions
from vitmem.language.metrics.token_hits import TokenHits
from vitmem.language.metrics.window_predictions import WindowPredictions
from vitmem.lazy import torch

ITEMS, LENGTH = 60, 8


def _hits(seed: int) -> TokenHits:
    generator = torch.Generator().manual_seed(seed)
    shape = (ITEMS, LENGTH)
    top = torch.argsort(torch.rand(*shape, 50, generator=generator), dim=-1)[..., :10]
    return TokenHits(
        hit=torch.rand(shape, generator=generator) < 0.5,
        loss=torch.rand(shape, generator=generator),
        real=torch.ones(shape, dtype=torch.bool),
        rows=torch.arange(0, ITEMS, 2),
        said=top[..., 0].int(),
        top=top.int(),
    )


def _recited(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return recited and gold tokens, (n, L) each, half of them equal."""
    gold = torch.arange(ITEMS * LENGTH).reshape(ITEMS, LENGTH) % 37 + 1
    wrong = torch.rand(gold.shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    return torch.where(wrong, torch.zeros_like(gold), gold), gold


def texts(seed: int) -> TextPredictions:
    """Return predictions of a synthetic language."""
    recited, gold = _recited(seed)
    hits = _hits(seed)
    right = {family: hits.hit[:, i] for i, family in enumerate(("arithmetic", "open_book", "rule", "logic", "facts"))}
    return TextPredictions(
        recited=recited,
        gold=gold,
        strings=torch.arange(0, ITEMS, 2),
        suffix_hit=recited == gold,
        suffix_loss=hits.loss,
        perturbed=torch.arange(ITEMS) % (LENGTH + 1),
        right=right,
        exposure={family: torch.arange(ITEMS) % 7 for family in right},
        held_out=hits,
    )


def passages(seed: int) -> PassagePredictions:
    """Return predictions of passages."""
    return PassagePredictions({kind: _hits(seed + i) for i, kind in enumerate(("famous", "control", "held_out"))})


def windows(seed: int) -> WindowPredictions:
    """Return predictions of windows."""
    recited, gold = _recited(seed)
    return WindowPredictions(recited=recited, gold=gold, suffix=_hits(seed), held_out=_hits(seed + 1))
