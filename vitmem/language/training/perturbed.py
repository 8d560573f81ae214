"""Is a string still in the network when its prompt no longer brings it out? Prompts of other lengths ask for it.

The positional perturbation of Huang et al. (2024, "Demystifying verbatim memorization in large language models"):
a prompt is made longer by the first tokens of the answer, or loses tokens at its beginning.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vitmem.language.data.texts import Items
from vitmem.language.training.texts import next_tokens

# By how many tokens at most a prompt is made longer, and less than how many it never keeps, for prompts of 64 tokens.
SHIFT, WHOLE = 20, 64


def perturbed_prefix(net: nn.Module, items: Items, begin: int = 1) -> Tensor:
    """Return the longest beginning of the rest of each answer that any perturbed prompt recites, (n,) int64.

    All answers have the same place. A row is ``begin`` tokens that every prompt keeps, for a text begins so, n
    tokens to prompt with and an answer of L. Prompts show the n and the first 1, ..., t of the answer, or the last
    t + 1, ..., n - 1 of the n; t = 20, a shorter prompt has its share of that. The whole prompt itself is left out.
    """
    places = torch.nonzero(items.answer[0]).flatten()
    start, length = int(places[0]), len(places)
    rows = items.tokens[:, : start + length]
    shift = shift_of(start - begin, length)
    # the right tokens behind a longer prompt are those behind the prompt itself: one pass has all of them
    hit = _answer_hits(net, rows, length)
    counts = [torch.zeros(len(rows), dtype=torch.int64)]
    counts += [_leading(hit[:, shown:]) for shown in range(1, shift + 1)]
    for kept in range(shift + 1, start - begin):
        # all rows of a length at a time: nothing is padded
        shorter = torch.cat([rows[:, :begin], rows[:, start - kept :]], 1)
        counts.append(_leading(_answer_hits(net, shorter, length)))
    return torch.stack(counts).amax(0)


def shift_of(prompt: int, answer: int) -> int:
    """Return t for a prompt of so many tokens, 20 of 64 at most, that leaves one token of the answer to be said."""
    return min(max(1, SHIFT * min(prompt, WHOLE) // WHOLE), answer - 1)


def _answer_hits(net: nn.Module, rows: Tensor, length: int) -> Tensor:
    """Return where the last ``length`` tokens of rows (n, S) are the likeliest after the real ones, (n, length) bool.

    Greedy decoding from a prompt says the first j tokens of the answer if and only if these are the likeliest, each
    after the real ones before it: up to there it has said nothing else. So one pass tells how far it would come.
    """
    said, _ = next_tokens(net, rows)
    return said[:, -length:] == rows[:, -length:]


def _leading(hit: Tensor) -> Tensor:
    """Return how many are true at the beginning of each row, (n, L) bool give (n,) int64."""
    return hit.long().cumprod(1).sum(1)
