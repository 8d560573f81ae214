"""Continued training of the edited layers on the retain set: CF-k (Goel et al. 2022), the named blocks as the k."""

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
    """Training on the retain set, the learning rate falling from ``lr`` to zero in a straight line."""

    example = {"steps": 3}
    steps: int = Field(default=1000, gt=0)
    lr: float = Field(default=0.025, gt=0)
    batch_size: int = Field(default=512, gt=0)

    def trainer(self, context: EditContext) -> EditTrainer:
        """Return what trains the edited weights; raises InputError when there is nothing to keep."""
        examples = training.forget_retain_sets(context, self.name, keep_alone=True)
        return training.EditTrainer(context, self.name, examples, lr=self.lr)

    def train(self, trainer: EditTrainer) -> EditResult:
        """Take ``steps`` down the mean loss of the retain set; raises VitmemError when it diverges."""
        keep = trainer.examples.keep
        order = training.cycle_batches(len(keep[0]), self.batch_size, trainer.generator)
        for number, rows in enumerate(islice(order, self.steps)):
            trainer.step(trainer.losses(*trainer.at(keep, rows)).mean(), self.lr * (1 - number / self.steps))
        return trainer.result()


@EDITS.register("finetune")
class Finetune(OnRetainSet):
    """Train the edited layers on the retain set (CF-k).

    The weights W (p, q) of the given layers are trained for ``steps`` of SGD (momentum 0.9, weight decay 5e-4). Nothing
    is said of what is to be forgotten: the retain set is trusted data.
    """

    title = "fine-tuning (CF-k)"

    def edit(self, context: EditContext) -> EditResult:
        """Train; raises InputError when there is nothing to keep, VitmemError when it diverges."""
        return self.train(self.trainer(context))
