"""CUTS (Mozafari et al. 2025): subtract the task vector of training on random labels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vitmem import kfac as engine
from vitmem.edits import training
from vitmem.edits.base import ByStrength, EditContext, EditResult, inverse_odds
from vitmem.edits.salun import num_classes, random_relabel
from vitmem.errors import VitmemError
from vitmem.lazy import torch
from vitmem.registry import EDITS
from vitmem.specs import seed_from

if TYPE_CHECKING:
    from torch import Tensor

    from vitmem.kfac import LayerReport

PROXY_RUNS = 2  # trainings on the proxy whose task vectors are averaged, as published


@dataclass(frozen=True)
class TaskVector:
    """The change of each W, (p, q) float64 by path, and the number of passes over the proxy set."""

    change: dict[str, Tensor]
    passes: float


class ByTaskVector(ByStrength):
    """An edit that subtracts ``alpha`` times a task vector; its parameters describe the proxy set and the training."""

    uses = "proxy"
    exactly_one = ("alpha", *ByStrength.exactly_one)
    example = {"alpha": 1.0, "proxy_share": 0.2, "epochs": 2}
    alpha: float | None = Field(default=None, ge=0)
    proxy_share: float = Field(
        default=0.02, gt=0, lt=1, description="examples of the proxy set, as a share of the training set"
    )
    epochs: int = Field(default=60, gt=0, description="passes over the proxy set")
    lr: float = Field(default=1e-4, gt=0, description="learning rate of AdamW")
    batch_size: int = Field(default=64, gt=0, description="examples in a step")

    def of_share(self, share: float) -> float:
        """Return the alpha for ``share``: 0 for 1."""
        return math.sqrt(inverse_odds(share))

    def prepare(self, context: EditContext) -> TaskVector:
        """Return the mean change of each W (p, q) over two trainings on the proxy set.

        Raises InputError when there is no proxy set, VitmemError when training diverges or a weight is not finite.
        """
        for path in context.layers:
            context.weight(path)  # raises if not finite
        examples, (inputs, labels) = training.proxy_set(context, self.name, self.proxy_share)
        classes = num_classes(context, examples, (inputs, labels), self.name)
        steps = self.epochs * math.ceil(len(inputs) / self.batch_size)
        total = {
            path: torch.zeros_like(training.layer_weight(layer), dtype=torch.float64)
            for path, layer in context.layers.items()
        }
        processed = 0
        for number in range(PROXY_RUNS):
            own = replace(context, seed=seed_from("task vector", number))
            trainer = training.EditTrainer(own, self.name, examples, lr=self.lr, decay=0.01, adam=True)
            wrong = random_relabel(labels, classes, trainer.generator)
            step = 0
            for _ in range(self.epochs):
                for rows in training.batches(len(inputs), self.batch_size, trainer.generator):
                    rate = self.lr * (1 + math.cos(math.pi * step / steps)) / 2
                    trainer.step(trainer.losses(*trainer.at((inputs, wrong), rows)).mean(), rate)
                    step += 1
            for path, weight in trainer.weights.items():
                old = training.layer_weight(context.layers[path]).double()
                total[path] += (weight.detach().double() - old) / PROXY_RUNS
            processed += trainer.examples_processed
        for path, value in total.items():
            if not torch.isfinite(value).all():
                raise VitmemError(f"{self.name}: NaN or infinity in the trained weight of layer '{path}'; lower lr")
        change = {path: engine.matrix_of(context.layers[path], value) for path, value in total.items()}
        return TaskVector(change, processed / len(inputs))

    def change(self, path: str, weight: Tensor, context: EditContext, prepared: Any) -> tuple[Tensor, LayerReport]:
        """Return W (p, q) without ``alpha`` times the task vector; the report counts every weight as kept."""
        assert self.alpha is not None
        new = (weight.double() - self.alpha * prepared.change[path]).to(weight.dtype)
        energy = float(new.double().square().sum() / weight.double().square().sum()) if weight.any() else 1.0
        return new, engine.replaced(weight, new, weight.numel(), weight.numel(), energy)

    def apply(self, context: EditContext, prepared: Any) -> EditResult:
        """Edit every layer of ``context`` at the given strength."""
        return replace(super().apply(context, prepared), passes=prepared.passes)


@EDITS.register("cuts")
class Cuts(ByTaskVector):
    """Subtract the task vector of training on random labels (Mozafari 2025).

    W - ``alpha`` * τ for every W (p, q), τ the mean change of W over two trainings on the proxy set. The proxy set has
    ``proxy_share`` times as many examples as the training set, none of them mislabelled or planted for recitation, with
    labels drawn uniformly from all classes (published: held-out images; their own labels are not read). Training uses
    AdamW (weight decay 0.01) with cosine decay of the learning rate from ``lr`` to zero. Its labels and order do not
    depend on the edit's seed, so that the control has the norm of the same τ. Only the given layers are trained. To
    match a loss, alphas from 0.01 to 100 are searched.

    "Subtract the Corruption" (arXiv 2511.18660) chooses alpha from 0 to 4; here each alpha is a cell.
    """

    title = "CUTS"
