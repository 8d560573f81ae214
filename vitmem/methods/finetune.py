"""Continued training of the edited layers on what is to be kept: CF-k (Goel et al. 2022), the named blocks as the k."""

from __future__ import annotations

from itertools import islice

from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.descent import Descent
from vitmem.methods.told import endless, told


def finetune(context: EditContext, *, steps: int = 1000, lr: float = 0.025, batch_size: int = 512) -> EditResult:
    """Train the weights W (p, q) of the given layers for ``steps`` of SGD (momentum 0.9, weight decay 5e-4).

    The learning rate falls from ``lr`` to zero in a straight line. Nothing is said of what is to be forgotten: the
    examples to keep are trusted data. Raises InputError when there are none, VitmemError when it diverges.
    """
    descent = Descent(context, "finetune", told(context, "finetune", keep_alone=True), lr=lr)
    train_on_kept(descent, steps, lr, batch_size)
    return descent.result()


def train_on_kept(descent: Descent, steps: int, lr: float, batch_size: int) -> None:
    """Take ``steps`` down the mean loss of the examples to keep, ``batch_size`` at a time, ``lr`` falling to zero."""
    keep = descent.examples.keep
    order = endless(len(keep[0]), batch_size, descent.generator)
    for number, rows in enumerate(islice(order, steps)):
        descent.step(descent.losses(*descent.at(keep, rows)).mean(), lr * (1 - number / steps))
