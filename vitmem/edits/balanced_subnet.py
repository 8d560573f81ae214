"""BalancedSubnet (Sakarvadia et al. 2024): learn which weights to zero from the forget set and the retain set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vitmem import kfac as engine
from vitmem.edits import training
from vitmem.edits.base import EditContext, EditResult, Forgetting, Matching
from vitmem.errors import VitmemError
from vitmem.lazy import torch
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from torch import Generator, Tensor


@EDITS.register("balanced_subnet")
class BalancedSubnet(Forgetting, Matching):
    """Zero the few weights that the forget set needs and the retain set does not.

    A score is trained for every weight, and the floor(``ratio`` * p * q) weights of every W (p, q) with the smallest
    |score| are zeroed. The loss is ``weight`` * CE(retain) - (1 - ``weight``) * CE(forget), in nats; ``cap`` bounds
    each forget loss, because the ascent is otherwise unbounded. An epoch is one pass over the forget set; every step
    uses ``batch_size`` examples of both sets. With ``epochs: 0`` the subnet is random. With ``match_drop`` or
    ``match_loss``, scores are trained at ``ratio`` and the largest share of weights within the allowed loss is zeroed.
    """

    title = "BalancedSubnet"
    example = {"ratio": 0.1, "epochs": 1}
    ratio: float = Field(gt=0, lt=1)
    weight: float = Field(default=0.7, gt=0, lt=1)
    epochs: int = Field(default=5, ge=0, description="passes over the forget set that train the scores")
    lr: float = Field(default=0.3, gt=0, description="learning rate of the scores")
    batch_size: int = Field(default=16, gt=0)
    cap: float | None = Field(default=None, gt=0)

    def model_post_init(self, context: Any) -> None:
        """Reject two quantities to match."""
        super().model_post_init(context)
        if self.match_drop is not None and self.match_loss is not None:
            raise ValueError("give one of 'match_drop' and 'match_loss', not both")

    def edit(self, context: EditContext) -> EditResult:
        """Train the scores and zero; raises InputError for an empty set, VitmemError for a non-finite loss."""
        scores, passes = self._trained_scores(context)
        if not self.matches:
            return _zeroed(context, scores, self.ratio, passes)
        kept = self.matched(context, lambda kept: _zeroed(context, scores, 1 - kept, passes))
        return _zeroed(context, scores, 1 - kept, passes)

    def _trained_scores(self, context: EditContext) -> tuple[dict[str, Tensor], float]:
        """Return scores by path, in the layout of each layer's weight, and the number of passes over both sets."""
        examples = training.forget_retain_sets(context, "balanced_subnet", self.discovery)
        generator = torch.Generator().manual_seed(context.seed)
        weights = {path: training.layer_weight(layer) for path, layer in context.layers.items()}
        scores = {path: _initial_scores(weight, generator) for path, weight in weights.items()}
        optimizer = torch.optim.SGD(
            list(scores.values()), lr=self.lr, momentum=training.MOMENTUM, weight_decay=training.DECAY
        )
        processed = 0
        for _ in range(self.epochs):
            for rows in training.batches(len(examples.forget[0]), self.batch_size, generator):
                others = torch.randint(len(examples.keep[0]), (self.batch_size,), generator=generator)
                call = training.functional_model(
                    context.model,
                    {path: training.masked(weights[path], score, self.ratio) for path, score in scores.items()},
                )
                forget = examples.losses(call, *training.take_rows(context, examples.forget, rows))
                keep = examples.losses(call, *training.take_rows(context, examples.keep, others))
                forget = forget if self.cap is None else forget.clamp_max(self.cap)
                total = self.weight * keep.mean() - (1 - self.weight) * forget.mean()
                if not torch.isfinite(total):
                    raise VitmemError("balanced_subnet: the loss is not finite; lower lr or weight, or give a cap")
                optimizer.zero_grad()
                total.backward()
                optimizer.step()
                processed += len(rows) + len(others)
        for path, score in scores.items():
            if not torch.isfinite(score).all():
                raise VitmemError(f"balanced_subnet: NaN or infinity in the scores of layer '{path}'; lower lr")
        return scores, processed / (len(examples.forget[0]) + len(examples.keep[0]))


def _zeroed(context: EditContext, scores: Mapping[str, Tensor], ratio: float, passes: float) -> EditResult:
    result = EditResult(passes=passes)
    for path, layer in context.layers.items():
        weight, mask = training.layer_weight(layer), training.smallest_zeroed(scores[path].detach(), ratio)
        kept = weight * mask
        energy = float(kept.double().square().sum() / weight.double().square().sum()) if weight.any() else 1.0
        result.weights[path] = engine.matrix_of(layer, kept).contiguous()
        old = engine.weight_matrix(layer)
        result.reports[path] = engine.replaced(old, result.weights[path], int(mask.sum()), mask.numel(), energy)
    return result


def _initial_scores(weight: Tensor, generator: Generator) -> Tensor:
    """Draw scores uniformly within ±1/√inputs, like the weights of a linear layer."""
    return training.uniform(weight.shape, weight[0].numel(), generator).to(weight.device).requires_grad_()
