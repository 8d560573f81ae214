"""Masks of weights learned by gradient descent."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


class _StraightThroughMask(torch.autograd.Function):
    """The given mask, with the gradient of |score|."""

    @staticmethod
    def forward(ctx: Any, score: Tensor, mask: Tensor) -> Tensor:
        ctx.save_for_backward(score)
        return mask

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (score,) = ctx.saved_tensors
        return gradients[0] * score.sign(), None


def smallest_zeroed(score: Tensor, ratio: float) -> Tensor:
    """Return 0 for the floor(ratio * n) smallest |score| and 1 elsewhere, of the shape of ``score`` (p, q)."""
    mask = torch.ones_like(score)
    count = math.floor(ratio * score.numel())
    if count:
        mask.view(-1)[score.detach().abs().flatten().topk(count, largest=False).indices] = 0
    return mask


def masked(weight: Tensor, score: Tensor, ratio: float) -> Tensor:
    """Return ``weight`` (p, q) with its smallest scores (p, q) zeroed; gradients reach ``score`` straight through."""
    mask: Tensor = _StraightThroughMask.apply(score, smallest_zeroed(score, ratio))
    return weight * mask.to(weight.dtype)
