"""What every source of token sequences returns: training rows, items that are asked, held-out text."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vitmem.errors import InputError


@dataclass(frozen=True)
class Items:
    """Questions with their answers: ``tokens`` (n, S) int64, ``answer`` (n, S) bool marks what is to be said.

    ``exposure`` (n,) int64 is how often an item stands in the training rows, 0 for one that never does.
    """

    tokens: Tensor
    answer: Tensor
    exposure: Tensor

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together, and answers that are empty or begin a row."""
        if self.answer.shape != self.tokens.shape or len(self.exposure) != len(self.tokens):
            raise InputError(
                f"items: expected answers {tuple(self.tokens.shape)} and {len(self.tokens)} exposures, got "
                f"{tuple(self.answer.shape)} and {len(self.exposure)}"
            )
        if not self.answer.any(1).all() or self.answer[:, 0].any():
            raise InputError("items: expected an answer in every row, behind its first token")

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class TextData:
    """Rows of tokens with ``padding`` behind their end.

    ``train`` (N, S); ``held_out`` (V, S) rows of the same kind that are never trained on; ``items`` by family;
    ``memorized`` are rows (m, S) that are there to be recited, their second half as answer.
    """

    name: str
    vocab_size: int
    padding: int
    train: Tensor
    held_out: Tensor
    memorized: Items
    items: Mapping[str, Items]

    @property
    def length(self) -> int:
        """Tokens in a row, S."""
        return int(self.train.shape[1])

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of the SHA-256 of all tokens and answers."""
        state = hashlib.sha256(repr((self.name, self.vocab_size, self.padding, sorted(self.items))).encode())
        families = [self.memorized, *(self.items[name] for name in sorted(self.items))]
        parts = [self.train, self.held_out, *(t for f in families for t in (f.tokens, f.answer, f.exposure))]
        for tensor in parts:
            state.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
        return state.hexdigest()[:16]
