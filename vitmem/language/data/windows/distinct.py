"""Selection and split of windows: near-duplicates are dropped, then documents are halved."""

from __future__ import annotations

from collections import Counter, defaultdict

import torch
from torch import Tensor

from vitmem.errors import InputError
from vitmem.language.data.windows.tokens import Windows

# Tokens per shingle, and the similarity above which a window counts as a duplicate.
SHINGLE, SIMILAR = 5, 0.7


def distinct(windows: Windows) -> Tensor:
    """Return the kept rows (k,) int64 after dropping near-duplicates of earlier windows.

    A window is dropped when the Jaccard similarity of its suffix with a kept one is at least 0.7, over shingles of 5
    consecutive tokens (a shorter suffix is one shingle). Only kept windows that share a shingle are compared.
    """
    kept: list[int] = []
    sizes: dict[int, int] = {}
    holders: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for n, suffix in enumerate(windows.suffixes):
        sets = shingles(suffix.tolist())
        shared = Counter(other for shingle in sets for other in holders.get(shingle, ()))
        if any(both / (len(sets) + sizes[other] - both) >= SIMILAR for other, both in shared.items()):
            continue
        kept.append(n)
        sizes[n] = len(sets)
        for shingle in sets:
            holders[shingle].append(n)
    return torch.tensor(kept, dtype=torch.int64)


def shingles(tokens: list[int]) -> set[tuple[int, ...]]:
    """Return the shingles of 5 consecutive ``tokens``, or one shingle of all when there are fewer."""
    return {tuple(tokens[n : n + SHINGLE]) for n in range(max(1, len(tokens) - SHINGLE + 1))}


def various(windows: Windows, least: int) -> Tensor:
    """Return the rows (k,) int64 with at least ``least`` different tokens in the suffix."""
    return torch.tensor([n for n, suffix in enumerate(windows.suffixes) if len(suffix.unique()) >= least]).long()


def halves(windows: Windows, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return two lists of rows, (k,) and (n - k,) int64, sorted: windows of a document are in the same list.

    Documents are shuffled and cut at the most even point. Raises InputError for fewer than two documents.
    """
    numbers, counts = windows.documents.unique(return_counts=True)
    if len(numbers) < 2:
        raise InputError(f"windows: expected two documents or more to halve, got {len(numbers)}; mine more texts")
    order = torch.randperm(len(numbers), generator=generator)
    before = counts[order].cumsum(0)[:-1]  # windows before each cut
    cut = int((2 * before - len(windows)).abs().argmin()) + 1
    first = torch.isin(windows.documents, numbers[order[:cut]])
    return torch.nonzero(first).flatten(), torch.nonzero(~first).flatten()
