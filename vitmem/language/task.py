"""Causal language models for the engine: one loss per predicted token, positions as rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vitmem.errors import InputError
from vitmem.kfac.labels import IGNORED
from vitmem.kfac.layers import eval_mode

Batch = Mapping[str, Tensor]
# Number of tokens for comparing a separate head with the whole model.
PROBE = 5


@dataclass(frozen=True)
class LanguageTask:
    """A batch has ``input_ids`` (B, S) int64 and, when needed, ``attention_mask`` (B, S), 0 for padding, ``labels``
    (B, S) with -100 where nothing is predicted, and ``position_ids`` (B, S).

    Position t predicts token t + 1, so the last position, padding and positions before a label of -100 have no loss and
    do not count: labels alone select all tokens, a suffix or the span of an answer. With ``split`` the model is a
    decoder and an output embedding, so that the logits of a large vocabulary are computed for a few positions at a
    time; ``language_task`` detects this.
    """

    split: bool = False

    def features(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the last hidden states, or the logits of a model that is not split, (N, d), one row per loss.

        Raises InputError when a sequence is longer than the model's positions or no position has a loss.
        """
        if not isinstance(batch, Mapping) or "input_ids" not in batch:
            raise InputError(f"batch: expected a mapping with 'input_ids', got a {type(batch).__name__}")
        check_length(model, batch["input_ids"])
        kept = self.counted(batch)
        if not kept.any():
            raise InputError("batch: no position has a loss; are all labels -100 or all suffixes empty?")
        if self.split:
            hidden: Tensor = _decoder(model)(**_inputs(batch)).last_hidden_state  # (B, S, d)
        else:
            out = model(**_inputs(batch)) if _takes_mappings(model) else model(_unpadded(batch))
            hidden = out if isinstance(out, Tensor) else out.logits  # (B, S, K)
        return hidden[:, :-1][kept.to(hidden.device)]

    def logits(self, model: nn.Module, features: Tensor) -> Tensor:
        """Return the logits (n, K) of some rows of the features."""
        logits: Tensor = _head(model)(features) if self.split else features
        return logits

    def given(self, batch: Batch) -> Tensor:
        """Return the next token of each counted position, (N,) int64."""
        return _targets(batch)[self.counted(batch)]

    def counted(self, batch: Batch) -> Tensor:
        """Return which of the first S - 1 positions have a loss, (B, S - 1) bool."""
        kept = _targets(batch) != IGNORED
        mask = batch.get("attention_mask")
        return kept if mask is None else kept & mask[:, :-1].bool() & mask[:, 1:].bool()

    def rows(self, activation: Tensor, batch: Batch) -> Tensor:
        """Return the counted positions of an activation (B, S, f) or (B * S, f), as (n, f)."""
        shape = batch["input_ids"].shape
        return activation.reshape(*shape, -1)[:, :-1][self.counted(batch).to(activation.device)]


def language_task(model: nn.Module) -> LanguageTask:
    """Return the task of ``model``, split if its head applied to the last hidden states reproduces its logits.

    A model that scales or caps its logits after the head is not split.
    """
    if not all(hasattr(model, name) for name in ("get_decoder", "get_output_embeddings")):
        return LanguageTask()
    decoder, head = _decoder(model), _head(model)
    if not isinstance(decoder, nn.Module) or decoder is model or not isinstance(head, nn.Module):
        return LanguageTask()
    if getattr(getattr(model, "config", None), "final_logit_softcapping", None):
        return LanguageTask()  # a high cap would not show on a few tokens
    ids = torch.arange(PROBE, device=_embeddings(model).weight.device)[None]  # (1, PROBE)
    with torch.no_grad(), eval_mode(model):
        whole = model(input_ids=ids, use_cache=False).logits
        parts = head(decoder(input_ids=ids, use_cache=False).last_hidden_state)
    return LanguageTask(split=whole.shape == parts.shape and torch.allclose(whole, parts, rtol=1e-4, atol=1e-5))


def _decoder(model: nn.Module) -> Any:
    return model.get_decoder()  # type: ignore[operator]


def _head(model: nn.Module) -> Any:
    return model.get_output_embeddings()  # type: ignore[operator]


def _embeddings(model: nn.Module) -> Any:
    return model.get_input_embeddings()  # type: ignore[operator]


def _takes_mappings(model: nn.Module) -> bool:
    """Return whether ``model`` is a transformers model, which takes its inputs by name."""
    return hasattr(model, "get_output_embeddings")


def _inputs(batch: Batch) -> dict[str, Any]:
    """Return the arguments of a transformers model; padding on the left shifts no position."""
    out: dict[str, Any] = {"input_ids": batch["input_ids"], "use_cache": False}
    mask = batch.get("attention_mask")
    if mask is not None:
        out["attention_mask"] = mask
        out["position_ids"] = (mask.long().cumsum(1) - 1).clamp_min(0)
    if "position_ids" in batch:
        out["position_ids"] = batch["position_ids"]
    return out


def _unpadded(batch: Batch) -> Tensor:
    """Return the tokens for a model without a mask; raises InputError for padding on the left."""
    mask = batch.get("attention_mask")
    if mask is not None and not mask[:, 0].all():
        raise InputError("batch: padding on the left, and this model takes no attention mask; pad on the right")
    return batch["input_ids"]


def _targets(batch: Batch) -> Tensor:
    """Return the target token of each of the first S - 1 positions, (B, S - 1)."""
    return batch.get("labels", batch["input_ids"])[:, 1:]


def check_length(model: nn.Module, ids: Tensor) -> None:
    """Raise InputError when rows of tokens (B, S) are longer than the model's number of positions."""
    longest = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    if longest is not None and ids.shape[1] > longest:
        raise InputError(f"batch: sequences of {ids.shape[1]} tokens, the model has {longest} positions; cut them")


def token_losses(call: Callable[..., Any], tokens: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of each row, (B,) nats per token, of tokens and labels (B, S), ignoring -100."""
    logits = call(input_ids=tokens, use_cache=False).logits[:, :-1].float()  # (B, S - 1, K)
    losses = functional.cross_entropy(logits.transpose(1, 2), labels[:, 1:], reduction="none", ignore_index=IGNORED)
    return losses.sum(1) / (labels[:, 1:] != IGNORED).sum(1).clamp_min(1)


def token_logits(call: Callable[..., Any], tokens: Tensor, labels: Tensor) -> Tensor:
    """Return the logits (N, K) float32 of all positions with a loss, of tokens and labels (B, S), -100 for none."""
    logits: Tensor = call(input_ids=tokens, use_cache=False).logits[:, :-1]  # (B, S - 1, K)
    return logits[labels[:, 1:] != IGNORED].float()
