"""SalUn (Fan et al. 2024): train the forget set's salient weights on random labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from vitmem.edits import training
from vitmem.edits.base import EditContext, EditResult, Examples, Forgetting
from vitmem.lazy import torch
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from torch import Generator, Tensor


@EDITS.register("salun")
class SalUn(Forgetting):
    """Random labels for the forget set, learned by the weights it needs.

    The share ``ratio`` of the weights with the largest absolute gradient of the forget set, over all given W (p, q)
    together, is trained; the others stay unchanged, bit for bit. An epoch is one pass over the forget set, with labels
    drawn anew from all classes (text: all tokens), then one over the retain set with its own labels, by SGD (momentum
    0.9, weight decay 5e-4).
    """

    title = "SalUn"
    example = {"epochs": 1}
    ratio: float = Field(default=0.5, gt=0, le=1)
    epochs: int = Field(default=10, gt=0, description="passes over both sets")
    lr: float = Field(default=0.013, gt=0, description="learning rate")
    batch_size: int = Field(default=256, gt=0, description="examples in a step")

    def edit(self, context: EditContext) -> EditResult:
        """Train; raises InputError for an empty set, VitmemError when training diverges."""
        examples = training.forget_retain_sets(context, "salun", self.discovery)
        trainer = training.EditTrainer(context, "salun", examples, lr=self.lr)
        (inputs, labels), keep = examples.forget, examples.keep
        gradient = trainer.gradient(examples.forget, self.batch_size)
        trainer.trainable_mask = top_gradient_mask({k: g.abs() for k, g in gradient.items()}, self.ratio)
        classes = num_classes(context, examples, examples.forget, "salun")
        for _ in range(self.epochs):
            for pair in ((inputs, random_relabel(labels, classes, trainer.generator)), keep):
                for rows in training.batches(len(pair[0]), self.batch_size, trainer.generator):
                    trainer.step(trainer.losses(*trainer.at(pair, rows)).mean())
        return trainer.result()


def num_classes(context: EditContext, examples: Examples, pair: training.Pair, method: str) -> int:
    """Return the network's number of classes (text: tokens), from its output on the first example of a set (n, ...)."""
    with torch.no_grad():
        first = training.take_rows(context, pair, torch.arange(1))
        logits = training.logits_function(examples, method)
        return int(logits(training.functional_model(context.model, {}), *first).shape[1])


def top_gradient_mask(values: Mapping[str, Tensor], ratio: float) -> dict[str, Tensor]:
    """Return masks of the floor(ratio * n) largest of all n values, by path, (p, q) or (q, p) each."""
    flat = torch.cat([value.flatten() for value in values.values()])
    mask = torch.zeros_like(flat, dtype=torch.bool)
    mask[flat.topk(math.floor(round(ratio * len(flat), 6))).indices] = True
    parts = mask.split([value.numel() for value in values.values()])
    return {path: part.view_as(value) for (path, value), part in zip(values.items(), parts, strict=True)}


def random_relabel(labels: Tensor, classes: int, generator: Generator) -> Tensor:
    """Return labels (n, ...) drawn uniformly from ``classes``; negative labels, which mark ignored positions, stay."""
    drawn = torch.randint(classes, labels.shape, generator=generator)
    return torch.where(labels < 0, labels, drawn)
