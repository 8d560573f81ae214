"""DEL (Torkzadehmahani et al. 2025): re-initialise the forget set's channels and train them on the retain set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from vitmem import kfac as engine
from vitmem.edits import training
from vitmem.edits.base import EditContext, EditResult, Forgetting
from vitmem.lazy import torch
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from torch import Tensor

LAST = 0.01  # final learning rate of the cosine, as a share of the first


@EDITS.register("del")
class Del(Forgetting):
    """Re-initialise the channels most important to the forget set, then train them.

    The most critical output channels of all W (p, q) are re-initialised and trained on the retain set; other weights
    stay. A channel's score is the mean over its q inputs of |w * dL/dw|, L the loss of the forget set. The channels of
    highest score are taken, up to the share ``ratio`` of all weights. New weights are uniform within ±1/√q (published:
    their values before training, which an edit does not have). Training uses SGD (momentum 0.9, no weight decay) with
    cosine decay from ``lr``, published for a ViT, to ``lr`` / 100. Unlike the published method the classifier stays:
    only the given layers are edited.
    """

    title = "DEL"
    example = {"epochs": 1}
    ratio: float = Field(default=0.3, gt=0, le=1)
    epochs: int = Field(default=30, gt=0, description="passes over the retain set")
    lr: float = Field(default=0.05, gt=0)
    batch_size: int = Field(default=128, gt=0, description="examples in a step")

    def edit(self, context: EditContext) -> EditResult:
        """Train; raises InputError for an empty set, VitmemError when training diverges."""
        examples = training.forget_retain_sets(context, "del", self.discovery)
        trainer = training.EditTrainer(context, "del", examples, lr=self.lr, decay=0.0)
        gradients = trainer.gradient(examples.forget, self.batch_size)
        layers = context.layers.items()
        scores = {
            path: engine.matrix_of(layer, (training.layer_weight(layer) * gradients[path]).abs())
            for path, layer in layers
        }
        masks = critical_channels(scores, self.ratio)
        trainer.trainable_mask = {path: engine.kept_as(layer, masks[path]) for path, layer in layers}
        trainer.reinitialise()
        for epoch in range(self.epochs):
            share = (1 + math.cos(math.pi * epoch / self.epochs)) / 2
            for rows in training.batches(len(examples.keep[0]), self.batch_size, trainer.generator):
                loss = trainer.losses(*trainer.at(examples.keep, rows)).mean()
                trainer.step(loss, self.lr * (LAST + (1 - LAST) * share))
        return trainer.result()


def critical_channels(values: Mapping[str, Tensor], ratio: float) -> dict[str, Tensor]:
    """Return masks (p, q) by path of the rows with the highest means over all ``values`` (p, q).

    Whole rows are taken, up to the share ``ratio`` of all entries.
    """
    scores = torch.cat([value.mean(1) for value in values.values()]).cpu()
    sizes = torch.cat([torch.full((len(value),), value.shape[1]) for value in values.values()])
    order = scores.argsort(descending=True, stable=True)
    taken = torch.zeros(len(scores), dtype=torch.bool)
    taken[order[sizes[order].cumsum(0) <= math.floor(round(ratio * int(sizes.sum()), 6))]] = True
    parts = taken.split([len(value) for value in values.values()])
    return {
        path: part[:, None].to(value.device).expand_as(value)
        for (path, value), part in zip(values.items(), parts, strict=True)
    }
