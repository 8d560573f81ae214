"""BalancedSubnet (Sakarvadia et al. 2024): learn which few weights to zero, from examples to forget and to keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Generator, Tensor

from vitmem.errors import VitmemError
from vitmem.kfac import matched_fraction, weight_matrix
from vitmem.kfac.edit import replaced
from vitmem.kfac.layers import matrix_of
from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.descent import DECAY, MOMENTUM, calling, stored, uniform
from vitmem.methods.strength import Match
from vitmem.methods.told import batches, rows_of, told


def balanced_subnet(
    context: EditContext,
    *,
    ratio: float,
    weight: float = 0.7,
    epochs: int = 5,
    lr: float = 0.3,
    batch_size: int = 16,
    cap: float | None = None,
    match_drop: float | None = None,
    match_loss: float | None = None,
    discovery: float | None = None,
) -> EditResult:
    """Zero floor(``ratio`` * p * q) weights of every W (p, q): those of the smallest |score| after training the scores.

    The loss is ``weight`` times that of examples to keep minus the rest times that of examples to forget
    (nats, at most ``cap`` each when given: the ascent has no end of its own). An epoch goes once through the
    examples to forget; every step sees ``batch_size`` of both. No epochs leave a random subnet. To match something,
    scores are trained at ``ratio`` and then the largest share found is zeroed that loses no more than allowed. Raises
    InputError when there are no such examples, VitmemError when a loss is not finite.
    """
    examples = told(context, "balanced_subnet", discovery)
    generator = torch.Generator().manual_seed(context.seed)
    weights = {path: stored(layer) for path, layer in context.layers.items()}
    scores = {path: _scores(weight, generator) for path, weight in weights.items()}
    optimizer = torch.optim.SGD(list(scores.values()), lr=lr, momentum=MOMENTUM, weight_decay=DECAY)
    seen = 0
    for _ in range(epochs):
        for rows in batches(len(examples.forget[0]), batch_size, generator):
            others = torch.randint(len(examples.keep[0]), (batch_size,), generator=generator)
            call = calling(
                context.model, {path: _masked(weights[path], score, ratio) for path, score in scores.items()}
            )
            forget = examples.losses(call, *rows_of(context, examples.forget, rows))
            keep = examples.losses(call, *rows_of(context, examples.keep, others))
            forget = forget if cap is None else forget.clamp_max(cap)
            total = weight * keep.mean() - (1 - weight) * forget.mean()
            if not torch.isfinite(total):
                raise VitmemError("balanced_subnet: the loss is not finite; lower lr or weight, or give a cap")
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            seen += len(rows) + len(others)
    for path, score in scores.items():
        if not torch.isfinite(score).all():
            raise VitmemError(f"balanced_subnet: NaN or infinity in the scores of layer '{path}'; lower lr")
    passes = seen / (len(examples.forget[0]) + len(examples.keep[0]))
    if match_drop is not None or match_loss is not None:
        ratio = _matched(Match(match_drop, match_loss), context, lambda share: _result(context, scores, share, passes))
    return _result(context, scores, ratio, passes)


def _matched(match: Match, context: EditContext, edit: Callable[[float], EditResult]) -> float:
    """Return the largest ratio found, by bisection, at which ``edit`` loses no more than allowed."""
    score = match.score(context)
    return 1 - matched_fraction(lambda kept: score(edit(1 - kept).weights), match.floor(score))


def _result(context: EditContext, scores: Mapping[str, Tensor], ratio: float, passes: float) -> EditResult:
    result = EditResult(passes=passes)
    for path, layer in context.layers.items():
        weight, mask = stored(layer), _mask(scores[path].detach(), ratio)
        kept = weight * mask
        energy = float(kept.double().square().sum() / weight.double().square().sum()) if weight.any() else 1.0
        result.weights[path] = matrix_of(layer, kept).contiguous()
        old = weight_matrix(layer)
        result.reports[path] = replaced(old, result.weights[path], int(mask.sum()), mask.numel(), energy)
    return result


class _Straight(torch.autograd.Function):
    """The mask as it is; its gradient is that of |score|."""

    @staticmethod
    def forward(ctx: Any, score: Tensor, mask: Tensor) -> Tensor:
        ctx.save_for_backward(score)
        return mask

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (score,) = ctx.saved_tensors
        return gradients[0] * score.sign(), None


def _scores(weight: Tensor, generator: Generator) -> Tensor:
    """Draw scores like a linear layer's weights: uniform within one over the root of the inputs."""
    return uniform(weight.shape, weight[0].numel(), generator).to(weight.device).requires_grad_()


def _mask(score: Tensor, ratio: float) -> Tensor:
    """Return 0 for the floor(ratio * n) smallest |score|, 1 elsewhere."""
    mask = torch.ones_like(score)
    count = math.floor(ratio * score.numel())
    if count:
        mask.view(-1)[score.detach().abs().flatten().topk(count, largest=False).indices] = 0
    return mask


def _masked(weight: Tensor, score: Tensor, ratio: float) -> Tensor:
    mask: Tensor = _Straight.apply(score, _mask(score, ratio))
    return weight * mask.to(weight.dtype)
