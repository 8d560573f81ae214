"""Agreement of the order of the likeliest tokens with the base: nDCG at 10 in two forms, in float64.

``ndcg`` is the graded one, computed by the code of Merullo et al. (2025); ``ndcg_overlap`` is the formula of their
appendix C, in which all tokens of the base's top 10 count the same.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vitmem.language.metrics.token_hits import ReadsText
from vitmem.lazy import torch
from vitmem.registry import METRICS

if TYPE_CHECKING:
    from torch import Tensor


# Number of likeliest tokens stored per position.
TOP = 10


def graded_ndcg(top: Tensor, base_top: Tensor) -> Tensor:
    """Return nDCG@K of each position, (n,) float64, for the K likeliest tokens (n, K) and those of the base (n, K).

    A token at rank s of the base has gain K - s + 1, discounted by log2(r + 1) at rank r of the edited model.
    """
    gains = _gains(base_top.shape[1])
    worth = (_same(top, base_top) * gains).sum(2)  # (n, K), by edited rank
    return _discounted(worth) / _discounted(gains[None])


def overlap_ndcg(top: Tensor, base_top: Tensor) -> Tensor:
    """Return the same, (n,) float64, with gain K - r + 1 at rank r if the token is in the base's top K.

    Both are (n, K). The order inside the base's top K does not matter: its reverse scores 1, graded .668 for K = 10.
    """
    gains = _gains(base_top.shape[1])
    return _discounted(_same(top, base_top).any(2) * gains) / _discounted(gains[None])


@METRICS.register(
    "ranking",
    summary="nDCG@10 of next tokens against the base, graded and by overlap",
    protocols=("text", "passages", "windows"),
)
def ranking(predictions: ReadsText, base: ReadsText) -> dict[str, float]:
    """Return ndcg and ndcg_overlap, means over the positions of held-out text; the base's tokens are the reference."""
    after, before = predictions.held_out, base.held_out
    if len(after.rows) == 0 or after.top is None or before.top is None:
        return {}
    tops = after.measured(after.top), before.measured(before.top)  # (m, K) each
    return {"ndcg": float(graded_ndcg(*tops).mean()), "ndcg_overlap": float(overlap_ndcg(*tops).mean())}


def _gains(count: int) -> Tensor:
    return torch.arange(count, 0, -1, dtype=torch.float64)


def _same(top: Tensor, base_top: Tensor) -> Tensor:
    """Return whether the token at rank r of one is that at rank s of the other, (n, K, K) bool."""
    return top[:, :, None] == base_top[:, None, :]


def _discounted(worth: Tensor) -> Tensor:
    """Return the discounted sum (n,) of gains (n, K), added rank by rank, so that equal rows have equal sums."""
    total = torch.zeros(len(worth), dtype=torch.float64)
    for rank, column in enumerate(worth.unbind(1), 1):
        total = total + column / math.log2(rank + 1)
    return total
