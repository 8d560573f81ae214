"""Metrics of plug-ins on a few made-up predictions: what fails there would fail behind hours of training."""

from __future__ import annotations

from collections.abc import Callable

from vitmem.errors import InputError, VitmemError
from vitmem.lazy import torch
from vitmem.metrics.measure import AnyPredictions, measure
from vitmem.metrics.passage_predictions import PassagePredictions
from vitmem.metrics.predictions import Predictions
from vitmem.metrics.text_predictions import TextPredictions
from vitmem.metrics.token_hits import TokenHits
from vitmem.metrics.versions import metrics_of
from vitmem.metrics.window_predictions import WindowPredictions

ITEMS, CLASSES, LENGTH = 60, 10, 8


def try_metrics(protocol: str) -> None:
    """Measure made-up predictions by every metric of ``protocol`` if a plug-in brings one of them.

    Raises InputError that names the metric which fails, gives what is no finite number or a name that is taken.
    """
    made = MADE_UP.get(protocol)
    if made is None or all(entry.built_in() for entry in metrics_of(protocol)):
        return
    try:
        measure(made(0), made(1))
    except VitmemError as error:
        raise InputError(f"{error} (found on made-up predictions, before anything is trained)") from error


def _images(seed: int) -> Predictions:
    generator = torch.Generator().manual_seed(seed)
    true = torch.arange(ITEMS) % CLASSES
    wrong = torch.arange(0, ITEMS, 5)
    given = true.clone()
    given[wrong] = (true[wrong] + 1) % CLASSES
    return Predictions(
        train_logits=torch.randn(ITEMS, CLASSES, generator=generator),
        given=given,
        true=true,
        noisy_rows=wrong[::2],
        validation_logits=torch.randn(ITEMS, CLASSES, generator=generator),
        validation_true=true,
        validation_rows=torch.arange(0, ITEMS, 2),
    )


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
    """Return tokens as they are recited and as they are, (n, L) each, half of them alike."""
    gold = torch.arange(ITEMS * LENGTH).reshape(ITEMS, LENGTH) % 37 + 1
    wrong = torch.rand(gold.shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    return torch.where(wrong, torch.zeros_like(gold), gold), gold


def _texts(seed: int) -> TextPredictions:
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


def _passages(seed: int) -> PassagePredictions:
    return PassagePredictions({kind: _hits(seed + i) for i, kind in enumerate(("famous", "control", "held_out"))})


def _windows(seed: int) -> WindowPredictions:
    recited, gold = _recited(seed)
    return WindowPredictions(recited=recited, gold=gold, suffix=_hits(seed), held_out=_hits(seed + 1))


MADE_UP: dict[str, Callable[[int], AnyPredictions]] = {
    "image": _images,
    "text": _texts,
    "passages": _passages,
    "windows": _windows,
}
