"""Common format of all sources of token sequences: training rows, questions, held-out text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vitmem.errors import InputError

# Rows that a network is asked at once.
AT_ONCE = 200


@dataclass(frozen=True)
class Items:
    """Questions with their answers: ``tokens`` (n, S) int64, ``answer`` (n, S) bool marks the expected tokens.

    ``exposure`` (n,) int64 is the number of occurrences of an item in the training rows, 0 for none.
    """

    tokens: Tensor
    answer: Tensor
    exposure: Tensor

    def __post_init__(self) -> None:
        """Check shapes, and that answers are non-empty and do not start a row."""
        if self.answer.shape != self.tokens.shape or len(self.exposure) != len(self.tokens):
            raise InputError(
                f"items: expected answers {tuple(self.tokens.shape)} and {len(self.tokens)} exposures, got "
                f"{tuple(self.answer.shape)} and {len(self.exposure)}"
            )
        if not self.answer.any(1).all() or self.answer[:, 0].any():
            raise InputError("items: expected an answer in every row, after its first token")

    def __len__(self) -> int:
        return len(self.tokens)

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield tokens int64 and answers bool, (B, E) each: what stands behind all answers is left out."""
        end = int(self.answer.any(0).nonzero().max()) + 1
        yield from zip(self.tokens[:, :end].split(AT_ONCE), self.answer[:, :end].split(AT_ONCE), strict=True)


@dataclass(frozen=True)
class Rows:
    """``tokens`` (n, S) int64 and ``labels`` (n, S) int64: the tokens again where they have a loss, -100 elsewhere."""

    tokens: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        """Check that labels equal the tokens, and that every row has a loss."""
        learned = self.labels != -100
        if self.labels.shape != self.tokens.shape or bool((self.labels != self.tokens)[learned].any()):
            raise InputError("rows: expected labels that are the tokens themselves or -100")
        if not bool(learned[:, 1:].any(1).all()):
            raise InputError("rows: expected a label after the first token of every row")

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, rows: Tensor) -> Rows:
        return Rows(self.tokens[rows], self.labels[rows])

    def distinct(self) -> Rows:
        """Return the rows without repetitions, in their order."""
        _, number = torch.unique(self.tokens, dim=0, return_inverse=True)  # (n,)
        places = torch.arange(len(self))
        first = torch.full((len(self),), len(self)).scatter_reduce(0, number, places, "amin")
        return self[places[first[number] == places]]

    @property
    def learned(self) -> Tensor:
        """Where the next token has a loss, (n, S - 1) bool."""
        return self.labels[:, 1:] != -100


@dataclass(frozen=True)
class TextData:
    """Rows of tokens with ``padding`` at their end.

    ``train`` (N, S); ``held_out`` (V, S) rows of the same kind, never trained on; ``items`` by family; ``memorized``
    rows (m, S) to recite, with their second half as answer.
    """

    name: str
    vocab_size: int
    padding: int
    train: Rows
    held_out: Rows
    memorized: Items
    items: Mapping[str, Items]

    @property
    def length(self) -> int:
        """Tokens in a row, S."""
        return int(self.train.tokens.shape[1])

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of the SHA-256 of all tokens and answers."""
        state = hashlib.sha256(repr((self.name, self.vocab_size, self.padding, sorted(self.items))).encode())
        families = [self.memorized, *(self.items[name] for name in sorted(self.items))]
        rows = (t for r in (self.train, self.held_out) for t in (r.tokens, r.labels))
        parts = [*rows, *(t for f in families for t in (f.tokens, f.answer, f.exposure))]
        for tensor in parts:
            state.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
        return state.hexdigest()[:16]
