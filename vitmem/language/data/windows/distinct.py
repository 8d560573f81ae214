"""Which windows are kept, and how they are split: near-duplicates go first, then documents are halved."""

from __future__ import annotations

from collections import Counter, defaultdict

import torch
from torch import Tensor

from vitmem.errors import InputError
from vitmem.language.data.windows.tokens import Windows

# Tokens in a shingle, and the similarity from which a window is taken for one that is there already.
SHINGLE, SIMILAR = 5, 0.7


def distinct(windows: Windows) -> Tensor:
    """Return the rows (k,) int64 that are kept when near-duplicates are dropped, the first of them kept.

    A window is dropped when the Jaccard similarity of its suffix with a kept one is at least 0.7, over sets of 5
    tokens in a row (a shorter suffix is one such set). Only kept windows that share a set are compared.
    """
    kept: list[int] = []
    sizes: dict[int, int] = {}
    holders: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for n, suffix in enumerate(windows.suffixes):
        found = shingles(suffix.tolist())
        shared = Counter(other for shingle in found for other in holders.get(shingle, ()))
        if any(both / (len(found) + sizes[other] - both) >= SIMILAR for other, both in shared.items()):
            continue
        kept.append(n)
        sizes[n] = len(found)
        for shingle in found:
            holders[shingle].append(n)
    return torch.tensor(kept, dtype=torch.int64)


def shingles(tokens: list[int]) -> set[tuple[int, ...]]:
    """Return the sets of 5 tokens in a row of ``tokens``, or all of them when there are fewer."""
    return {tuple(tokens[n : n + SHINGLE]) for n in range(max(1, len(tokens) - SHINGLE + 1))}


def various(windows: Windows, least: int) -> Tensor:
    """Return the rows (k,) int64 whose suffix has at least so many different tokens."""
    return torch.tensor([n for n, suffix in enumerate(windows.suffixes) if len(suffix.unique()) >= least]).long()


def halves(windows: Windows, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return two lists of rows, (k,) and (n - k,) int64, sorted: the windows of a document stand in one of them.

    Documents are shuffled and cut where the halves come closest. Raises InputError for fewer than two documents.
    """
    numbers, counts = windows.documents.unique(return_counts=True)
    if len(numbers) < 2:
        raise InputError(f"windows: expected two documents or more to halve, got {len(numbers)}; mine more texts")
    order = torch.randperm(len(numbers), generator=generator)
    before = counts[order].cumsum(0)[:-1]  # windows before each cut
    cut = int((2 * before - len(windows)).abs().argmin()) + 1
    first = torch.isin(windows.documents, numbers[order[:cut]])
    return torch.nonzero(first).flatten(), torch.nonzero(~first).flatten()
