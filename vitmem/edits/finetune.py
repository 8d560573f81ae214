"""Continued training of the edited layers on the retain set: CF-k (Goel et al. 2022), k being the named blocks."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from pydantic import Field

from vitmem.edits import training
from vitmem.edits.base import EditContext, EditResult, FromTrusted
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from vitmem.edits.training import EditTrainer


class OnRetainSet(FromTrusted):
    """Training on the retain set with linear decay of the learning rate from ``lr`` to zero."""

    example = {"steps": 3}
    steps: int = Field(default=1000, gt=0, description="number of steps")
    lr: float = Field(default=0.025, gt=0)
    batch_size: int = Field(default=512, gt=0, description="examples in a step")

    def trainer(self, context: EditContext) -> EditTrainer:
        """Return the trainer of the edited weights; raises InputError when the retain set is empty."""
        examples = training.forget_retain_sets(context, self.name, keep_alone=True)
        return training.EditTrainer(context, self.name, examples, lr=self.lr)

    def train(self, trainer: EditTrainer) -> EditResult:
        """Take ``steps`` on the mean loss of the retain set; raises VitmemError when training diverges."""
        keep = trainer.examples.keep
        order = training.cycle_batches(len(keep[0]), self.batch_size, trainer.generator)
        for number, rows in enumerate(islice(order, self.steps)):
            trainer.step(trainer.losses(*trainer.at(keep, rows)).mean(), self.lr * (1 - number / self.steps))
        return trainer.result()


@EDITS.register("finetune")
class Finetune(OnRetainSet):
    """Train the edited layers on the retain set (CF-k).

    The weights W (p, q) of the given layers are trained for ``steps`` of SGD (momentum 0.9, weight decay 5e-4). The
    forget set is not used: the retain set is trusted data.
    """

    title = "fine-tuning (CF-k)"

    def edit(self, context: EditContext) -> EditResult:
        """Train; raises InputError when the retain set is empty, VitmemError when training diverges."""
        return self.train(self.trainer(context))
