"""Windows as tokens of one model, and a check that its tokenizer made the ids of a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vitmem.errors import InputError
from vitmem.language.data.windows.read import Line, QuoteRow, TokenRow

# Minimum share of prefixes whose text must tokenise to their ids.
AGREEMENT = 0.95
# Tokens at each end of a prefix that may differ, because a window cuts words.
EDGE = 4


@dataclass(frozen=True)
class Windows:
    """n windows: the ids of each prefix (P,) and suffix (L,), int64, and the numbers of their documents (n,) int64.

    Windows may differ in P and L: each is prompted with its own prefix, unpadded, and measured over its own suffix.
    """

    prefixes: tuple[Tensor, ...]
    suffixes: tuple[Tensor, ...]
    documents: Tensor

    def __len__(self) -> int:
        return len(self.prefixes)

    def take(self, rows: Tensor) -> Windows:
        """Return the windows at ``rows`` (k,), in that order."""
        chosen = rows.tolist()
        return Windows(
            tuple(self.prefixes[n] for n in chosen), tuple(self.suffixes[n] for n in chosen), self.documents[rows]
        )

    def buckets(self) -> Iterator[tuple[Tensor, Tensor, int]]:
        """Yield groups of windows with equal lengths: their rows (k,), their tokens (k, P + L) and P."""
        groups: dict[tuple[int, int], list[int]] = {}
        for n, (prefix, suffix) in enumerate(zip(self.prefixes, self.suffixes, strict=True)):
            groups.setdefault((len(prefix), len(suffix)), []).append(n)
        for (length, _), rows in groups.items():
            tokens = torch.stack([torch.cat([self.prefixes[n], self.suffixes[n]]) for n in rows])
            yield torch.tensor(rows), tokens, length

    @cached_property
    def gold(self) -> Tensor:
        """The suffixes (n, L), padded with zeros."""
        return pad_sequence(list(self.suffixes), batch_first=True)

    @cached_property
    def real(self) -> Tensor:
        """Mask of the suffix tokens in ``gold`` (n, L)."""
        lengths = torch.tensor([len(suffix) for suffix in self.suffixes])
        return torch.arange(self.gold.shape[1])[None] < lengths[:, None]

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of the SHA-256 of all ids and document numbers."""
        parts = [[t.tolist() for t in self.prefixes], [t.tolist() for t in self.suffixes], self.documents.tolist()]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def tokenised(lines: Sequence[Line], tokenizer: Any, vocabulary: int) -> Windows:
    """Return the windows of ``lines`` for a model of ``vocabulary`` tokens. Ids are kept exactly as they are.

    A text starts with the tokenizer's own special tokens. Its suffix has the tokens that follow the prefix in the whole
    text, or its own tokens if one straddles the two. A window without a document number is its own document. Raises
    InputError for an id outside the vocabulary, a text without tokens and a tokenizer that does not match the ids.
    """
    check_tokenizer(lines, tokenizer)
    prefixes, suffixes, keys = [], [], []
    for number, line in enumerate(lines):
        row = line.row
        ids = _of_text(row, tokenizer) if isinstance(row, QuoteRow) else (list(row.prefix_ids), list(row.suffix_ids))
        _check_ids(ids, vocabulary, line.where)
        prefixes.append(torch.tensor(ids[0]))
        suffixes.append(torch.tensor(ids[1]))
        named = isinstance(row, TokenRow) and row.doc_index is not None
        keys.append(("document", row.doc_index) if isinstance(row, TokenRow) and named else ("line", number))
    numbers = {key: n for n, key in enumerate(dict.fromkeys(keys))}
    return Windows(tuple(prefixes), tuple(suffixes), torch.tensor([numbers[key] for key in keys]))


def _of_text(row: QuoteRow, tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the ids of prefix and suffix, from the tokens of the whole text if these can be cut there."""
    begin = tokenizer("").input_ids[:1]
    prefix, whole, alone = (
        tokenizer(text, add_special_tokens=False).input_ids
        for text in (row.prefix, row.prefix + row.suffix, row.suffix)
    )
    suffix = whole[len(prefix) :] if whole[: len(prefix)] == prefix else alone
    return begin + prefix, suffix


def _check_ids(ids: tuple[list[int], list[int]], vocabulary: int, where: str) -> None:
    for name, some in zip(("prefix", "suffix"), ids, strict=True):
        if not some:
            raise InputError(f"{where}: the {name} has no tokens; remove the line")
        if max(some) >= vocabulary:
            raise InputError(
                f"{where}: {name} id {max(some)} is outside the model's vocabulary of {vocabulary} tokens; the file "
                "was made for another model"
            )


def check_tokenizer(lines: Sequence[Line], tokenizer: Any) -> None:
    """Compare the tokens of the prefix texts with the given ids; words cut at the ends may differ.

    Raises InputError when fewer than 95 % of the prefixes agree, because every id would then mean another word.
    """
    rows = [line.row for line in lines if isinstance(line.row, TokenRow) and line.row.prefix_text is not None]
    if not rows:
        return
    agree = sum(_agrees(row.prefix_ids, tokenizer(row.prefix_text).input_ids) for row in rows)
    if agree < AGREEMENT * len(rows):
        file = lines[0].where.rpartition(":")[0]
        raise InputError(
            f"{file}: the tokenizer reproduces the prefix ids for {100 * agree / len(rows):.1f} % of {len(rows)} "
            f"prefixes, expected at least {100 * AGREEMENT:.0f} %; it is another model's, or it is broken by the "
            "transformers release (huggingface/transformers#45920): try another version"
        )


def _agrees(ids: Sequence[int], again: Sequence[int]) -> bool:
    """Return whether ``ids``, except for their ends, occur in ``again``."""
    edge = min(EDGE, len(ids) // 4)
    inside = list(ids[edge : len(ids) - edge])
    return any(again[n : n + len(inside)] == inside for n in range(len(again) - len(inside) + 1))
