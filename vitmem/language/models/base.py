"""Input and output of a language model, and the contract to train, edit and measure it."""

from __future__ import annotations

from dataclasses import dataclass

from vitmem.entries import Model
from vitmem.models.base import Network, build_as


@dataclass(frozen=True)
class TextShape:
    """Input and output of a network: ``vocab_size`` tokens in rows of at most ``length``."""

    vocab_size: int
    length: int


@dataclass
class LanguageModel(Network):
    """A causal model in the interface of transformers: ``net(input_ids=...).logits`` are (B, S, vocab_size)."""


def build_language(model: Model, shape: TextShape, seed: int) -> LanguageModel:
    """Build the language model ``model``; see ``vitmem.models.base.build``."""
    return build_as(LanguageModel, model, shape, seed)
