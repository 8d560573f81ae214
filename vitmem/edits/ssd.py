"""Selective synaptic dampening (Foster et al. 2024): shrink weights that matter more to the forget set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from vitmem.edits import training
from vitmem.edits.base import EditContext, EditResult, Examples, Forgetting
from vitmem.lazy import torch
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from torch import Tensor


@EDITS.register("ssd")
class Ssd(Forgetting):
    """Shrink the weights that matter more to the forget set.

    Every weight of W (p, q) with I_F > ``alpha`` * I_D is multiplied by min(``dampening`` * I_D / I_F, 1);
    ``dampening`` is the paper's lambda. I is the mean over examples of the squared gradient of each example's loss
    (``torch.func.vmap``; the published code squares the gradient of a batch mean, so this equals its batch size of 1).
    ``batch_size`` only bounds memory. I_F is over the forget set. I_D, published over all training data, is over the
    retain set: the forget set would be overrepresented in such a small sample. ``alpha: adaptive`` computes alpha from
    the importances (Schoepf et al. 2024, see ``adaptive_alpha``).
    """

    title = "SSD"
    example = {"alpha": 1.0}
    alpha: Annotated[float, Field(gt=0)] | Literal["adaptive"] = 10.0
    dampening: float = Field(default=1.0, gt=0)
    batch_size: int = Field(default=8, gt=0)

    def edit(self, context: EditContext) -> EditResult:
        """Dampen; raises InputError for an empty set, VitmemError for a non-finite gradient."""
        examples = training.forget_retain_sets(context, "ssd", self.discovery)
        forget, keep = (
            squared_gradients(context, examples, pair, self.batch_size) for pair in (examples.forget, examples.keep)
        )
        alpha = self.alpha
        if alpha == "adaptive":
            alpha = adaptive_alpha(forget, keep, len(examples.forget[0]), len(examples.keep[0]))
        new = {
            path: dampened(training.trainable(layer).detach(), forget[path], keep[path], alpha, self.dampening)
            for path, layer in context.layers.items()
        }
        return training.make_result(context, "ssd", new, passes=1.0)


def squared_gradients(context: EditContext, examples: Examples, pair: training.Pair, size: int) -> dict[str, Tensor]:
    """Return by path the mean over examples of the squared gradient, (p, q) or (q, p) as in the layer's weight."""
    weights = {path: training.trainable(layer).detach() for path, layer in context.layers.items()}

    def loss(weights: dict[str, Tensor], inputs: Tensor, label: Tensor) -> Tensor:
        return examples.losses(training.functional_model(context.model, weights), inputs[None], label[None])[0]

    each = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))
    total = {path: torch.zeros_like(weight, dtype=torch.float64) for path, weight in weights.items()}
    for rows in torch.arange(len(pair[0])).split(size):
        for path, gradient in each(weights, *training.take_rows(context, pair, rows)).items():
            total[path] += gradient.square().sum(0)
    training.check_finite("ssd", total)
    return {path: value / len(pair[0]) for path, value in total.items()}


def adaptive_alpha(forget: Mapping[str, Tensor], keep: Mapping[str, Tensor], known: int, kept: int) -> float:
    """Return alpha from the importances (p, q) by path, for ``known`` examples to forget and ``kept`` ones to keep.

    It is the percentile 100 - ln(1 + 100 * share) of I_F / I_D over all edited weights, share being the forget set's
    share of the examples (Schoepf et al. 2024, adaptive SSD): the more to forget, the more weights shrink. Weights with
    zero importance for both sets are left out.
    """
    ratios = torch.cat([(forget[path] / keep[path]).flatten() for path in forget])
    share = known / (known + kept)
    return float(np.nanpercentile(ratios.cpu().numpy(), 100 - math.log1p(100 * share), method="lower"))


def dampened(weight: Tensor, forget: Tensor, keep: Tensor, alpha: float, dampening: float) -> Tensor:
    """Return ``weight``, shrinking each entry more than ``alpha`` times as important to forget as to keep.

    All are (p, q) or (q, p), the importances float64.
    """
    factor = (dampening * keep / forget).clamp_max(1).to(weight.dtype)
    return torch.where(forget > alpha * keep, weight * factor, weight)
