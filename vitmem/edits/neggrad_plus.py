"""NegGrad+ (Kurmanji et al. 2023): descend the loss on the retain set, ascend it on the forget set."""

from __future__ import annotations

from pydantic import Field

from vitmem.edits import training
from vitmem.edits.base import EditContext, EditResult, Forgetting
from vitmem.registry import EDITS


@EDITS.register("neggrad_plus")
class NegGradPlus(Forgetting):
    """Descend the loss on the retain set, ascend it on the forget set.

    ``alpha`` * CE(retain) - (1 - ``alpha``) * CE(forget) is minimised by SGD (momentum 0.9, weight decay 5e-4). An
    epoch goes once through the retain set, and each step sees ``batch_size`` of both. The loss of an example to forget
    counts for at most ``cap`` nats when given: the logarithm of the number of classes is the loss at chance, where the
    published loop stops. Only the weights W (p, q) of the given layers are trained.
    """

    title = "NegGrad+"
    example = {"epochs": 1}
    alpha: float = Field(default=0.95, gt=0, le=1)
    epochs: int = Field(default=5, gt=0)
    lr: float = Field(default=1e-4, gt=0)
    batch_size: int = Field(default=64, gt=0)
    cap: float | None = Field(default=None, gt=0)

    def edit(self, context: EditContext) -> EditResult:
        """Train; raises InputError when one of the sets is empty, VitmemError when it diverges."""
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
