"""Diagnostic: another edit, then more training, to measure whether and how fast removed memory returns.

Relearning distinguishes erased from hidden memory: "Eight Methods to Evaluate Robust Unlearning" (Lynch et al. 2024,
arXiv 2402.16835), "Jogging the Memory of Unlearned Models Through Targeted Relearning Attacks" (Hu et al. 2024, arXiv
2406.13356).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from vitmem import kfac as engine
from vitmem.edits import training
from vitmem.edits.after import AfterEdit
from vitmem.edits.base import EditContext, EditResult, Examples
from vitmem.errors import InputError
from vitmem.lazy import torch
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from torch import Tensor

    from vitmem.edits.training import EditTrainer, Pair


@EDITS.register("relearn")
class Relearn(AfterEdit):
    """Diagnostic: another edit, then training on, to see what comes back (Lynch 2024, Hu 2024).

    The weights W (p, q) of the given layers are trained for ``steps`` of SGD at ``lr`` after the edit ``after``.
    ``train_on: given`` trains on the retain set and the known part of the forget set with given labels: memory measured
    on the rest of the forget set then returned without training on it. ``classes`` restricts the forget examples to
    these given labels. ``train_on: right`` trains on the retain set only. Momentum 0.9 and weight decay 5e-4; batches
    depend on the edit's seed and the rate is constant, so a shorter run is the beginning of a longer one. Layers
    changed only by the inner edit stay as it left them. Reports describe the change from the trained weights; passes
    include those of the inner edit.
    """

    title, uses = "relearning", "retain + forget"
    example = {"after": {"method": "kfac", "fraction": 0.3}, "steps": 3}
    steps: int = Field(default=100, gt=0)
    lr: float = Field(default=0.025, gt=0)
    batch_size: int = Field(default=128, gt=0, description="examples in a step")
    train_on: Literal["given", "right"] = Field(
        default="given", description="with the known wrong labels, or on right labels alone"
    )
    classes: tuple[int, ...] | None = Field(default=None, min_length=1)

    def model_post_init(self, context: Any) -> None:
        """Reject ``classes`` when no forget examples are trained on."""
        super().model_post_init(context)
        if self.train_on == "right" and self.classes is not None:
            raise ValueError("'classes' selects forget examples to train on, and 'train_on: right' uses none")

    def edit(self, context: EditContext) -> EditResult:
        """Edit, then train.

        Raises what the inner edit raises, InputError without examples to train on, VitmemError when training diverges.
        """
        for path in context.layers:
            context.weight(path)  # raises if not finite
        inner = self.edit_before(context)
        examples = training.forget_retain_sets(context, "relearn", keep_alone=self.train_on == "right")
        if self.classes is not None:
            examples = replace(examples, forget=of_classes(examples.forget, self.classes))
        with engine.edited(context.model, inner.weights):  # training starts from the edited weights
            trainer = training.EditTrainer(context, "relearn", examples, lr=self.lr)
            count = len(examples.keep[0]) + len(examples.forget[0])
            order = training.cycle_batches(count, self.batch_size, trainer.generator)
            for rows in islice(order, self.steps):
                trainer.step(_losses(trainer, examples, rows).mean())
        result = trainer.result()
        return EditResult(
            {**inner.weights, **result.weights}, {**inner.reports, **result.reports}, inner.passes + result.passes
        )


def of_classes(pair: Pair, classes: Sequence[int]) -> Pair:
    """Return the inputs and labels (n, ...) with label (n,) in ``classes``; raises InputError when there are none."""
    inputs, labels = pair
    if labels.dim() != 1:
        raise InputError("edit: 'classes' needs examples with one label each, and these have many; leave it out")
    rows = torch.isin(labels, torch.tensor(classes, device=labels.device))
    if not rows.any():
        text = ", ".join(map(str, classes))
        raise InputError(f"edit: none of the {len(labels)} known examples to forget is given class {text}; take others")
    return inputs[rows], labels[rows]


def _losses(trainer: EditTrainer, examples: Examples, rows: Tensor) -> Tensor:
    """Return the losses (n,) at ``rows`` (n,) of the retain set followed by the forget set."""
    kept = len(examples.keep[0])
    # one set at a time: text rows may differ in length between the sets
    parts = ((examples.keep, rows[rows < kept]), (examples.forget, rows[rows >= kept] - kept))
    return torch.cat([trainer.losses(*trainer.at(pair, some)) for pair, some in parts if len(some)])
