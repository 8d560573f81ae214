"""SCRUB (Kurmanji et al. 2023): distil away from the trained network on the forget set and towards it on the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from vitmem.edits import training
from vitmem.edits.base import EditContext, EditResult, Forgetting
from vitmem.lazy import torch
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from torch import Tensor

# The learning rate is multiplied by FALL after each of these epochs, as published.
FALLS, FALL = (3, 5, 9), 0.1


@EDITS.register("scrub")
class Scrub(Forgetting):
    """Maximise KL to the trained network on the forget set, minimise it on the retain set.

    A student is trained by SGD (momentum 0.9, weight decay 5e-4) with the trained network as its teacher. Each of the
    first ``ascent_epochs`` of the ``epochs`` starts with a pass over the forget set that maximises KL(teacher ||
    student) at temperature ``tau``, times ``tau``²; every epoch has a pass over the retain set that minimises ``gamma``
    * CE + ``alpha`` * KL. The defaults are those published for large forget sets. Teacher and student start equal,
    where KL has no gradient, so weight decay makes the first steps away. Only the weights W (p, q) of the given layers
    are trained.
    """

    title = "SCRUB"
    example = {"epochs": 1}
    alpha: float = Field(default=0.001, ge=0)
    gamma: float = Field(default=0.99, ge=0)
    tau: float = Field(default=4.0, gt=0)
    ascent_epochs: int = Field(default=2, ge=0)
    epochs: int = Field(default=3, gt=0)
    lr: float = Field(default=5e-4, gt=0, description="learning rate")
    batch_size: int = Field(default=128, gt=0, description="examples of the retain set in a step")
    forget_batch_size: int = Field(default=32, gt=0, description="examples of the forget set in a step")

    def edit(self, context: EditContext) -> EditResult:
        """Train; raises InputError for an empty set, VitmemError when training diverges."""
        examples = training.forget_retain_sets(context, "scrub", self.discovery)
        trainer = training.EditTrainer(context, "scrub", examples, lr=self.lr)
        logits, teacher = training.logits_function(examples, "scrub"), training.functional_model(context.model, {})

        def both(inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            """Return the losses (n,) of examples (n, ...) and KL(teacher || student), from one pass of each network."""
            student = trainer.forward_once(len(inputs))
            with torch.no_grad():
                teacher_logits = logits(teacher, inputs, labels)
            losses = examples.losses(student, inputs, labels)
            return losses, divergence(teacher_logits, logits(student, inputs, labels), self.tau)

        for epoch in range(1, self.epochs + 1):
            rate = self.lr * FALL ** sum(epoch > end for end in FALLS)
            if epoch <= self.ascent_epochs:
                for rows in training.batches(len(examples.forget[0]), self.forget_batch_size, trainer.generator):
                    trainer.step(-both(*trainer.at(examples.forget, rows))[1], rate)
            for rows in training.batches(len(examples.keep[0]), self.batch_size, trainer.generator):
                losses, distance = both(*trainer.at(examples.keep, rows))
                trainer.step(self.gamma * losses.mean() + self.alpha * distance, rate)
        return trainer.result()


def divergence(teacher: Tensor, student: Tensor, tau: float) -> Tensor:
    """Return ``tau``² times the mean over rows of KL(teacher || student) of logits (N, K) at temperature ``tau``."""
    functional = torch.nn.functional
    target, log_q = (functional.log_softmax(logits / tau, dim=1) for logits in (teacher, student))
    return functional.kl_div(log_q, target, reduction="batchmean", log_target=True) * tau**2
