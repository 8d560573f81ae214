"""NegGrad+ (Kurmanji et al. 2023): descend the loss on the retain set, ascend it on the forget set."""

from __future__ import annotations

from pydantic import Field

from vitmem.edits import training
from vitmem.edits.base import EditContext, EditResult, Forgetting
from vitmem.registry import EDITS


@EDITS.register("neggrad_plus")
class NegGradPlus(Forgetting):
    """Descend the loss on the retain set, ascend it on the forget set.

    Minimises ``alpha`` * CE(retain) - (1 - ``alpha``) * CE(forget) by SGD (momentum 0.9, weight decay 5e-4). An epoch
    is one pass over the retain set, and each step uses ``batch_size`` examples of both sets. ``cap`` bounds the loss of
    each forget example in nats: the published loop stops at the loss at chance, the logarithm of the number of classes.
    Only the weights W (p, q) of the given layers are trained.
    """

    title = "NegGrad+"
    example = {"epochs": 1}
    alpha: float = Field(default=0.95, gt=0, le=1)
    epochs: int = Field(default=5, gt=0, description="passes over the retain set")
    lr: float = Field(default=1e-4, gt=0, description="learning rate")
    batch_size: int = Field(default=64, gt=0)
    cap: float | None = Field(default=None, gt=0)

    def edit(self, context: EditContext) -> EditResult:
        """Train; raises InputError for an empty set, VitmemError when training diverges."""
        examples = training.forget_retain_sets(context, "neggrad_plus", self.discovery)
        trainer = training.EditTrainer(context, "neggrad_plus", examples, lr=self.lr)
        others = training.cycle_batches(len(examples.forget[0]), self.batch_size, trainer.generator)
        for _ in range(self.epochs):
            for rows in training.batches(len(examples.keep[0]), self.batch_size, trainer.generator):
                keep = trainer.losses(*trainer.at(examples.keep, rows))
                forget = trainer.losses(*trainer.at(examples.forget, next(others)))
                forget = forget if self.cap is None else forget.clamp_max(self.cap)
                trainer.step(self.alpha * keep.mean() - (1 - self.alpha) * forget.mean())
        return trainer.result()
