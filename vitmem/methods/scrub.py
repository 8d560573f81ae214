"""SCRUB (Kurmanji et al. 2023): away from the trained network on what is to be forgotten, back to it on the rest."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vitmem.methods.base import EditContext, EditResult, Examples
from vitmem.methods.descent import Descent, calling
from vitmem.methods.told import batches, logits_of, told

# The learning rate is multiplied by FALL after each of these epochs, as published.
FALLS, FALL = (3, 5, 9), 0.1


def scrub(
    context: EditContext,
    *,
    alpha: float = 0.001,
    gamma: float = 0.99,
    tau: float = 4.0,
    ascent_epochs: int = 2,
    epochs: int = 3,
    lr: float = 5e-4,
    batch_size: int = 128,
    forget_batch_size: int = 32,
    discovery: float | None = None,
) -> EditResult:
    """Train a student by SGD (momentum 0.9, weight decay 5e-4) against the network as it was trained, its teacher.

    Each of the first ``ascent_epochs`` of the ``epochs`` begins with a pass over what is to be forgotten that maximises
    KL(teacher || student) at temperature ``tau``, times its square; every one has a pass over what is to be kept that
    minimises ``gamma`` * CE + ``alpha`` * KL. The defaults are those published for large forget sets. At the start the
    two are the same and KL has no gradient, so the first steps away are those of weight decay. Only the weights W
    (p, q) of the given layers are trained. Raises InputError when there is nothing to forget or to keep, VitmemError
    when it diverges.
    """
    student = _Student(context, told(context, "scrub", discovery), lr, tau)
    forget, keep = student.examples.forget, student.examples.keep
    for epoch in range(1, epochs + 1):
        rate = lr * FALL ** sum(epoch > end for end in FALLS)
        if epoch <= ascent_epochs:
            for rows in batches(len(forget[0]), forget_batch_size, student.generator):
                student.step(-student.both(*student.at(forget, rows))[1], rate)
        for rows in batches(len(keep[0]), batch_size, student.generator):
            losses, divergence = student.both(*student.at(keep, rows))
            student.step(gamma * losses.mean() + alpha * divergence, rate)
    return student.result()


class _Student(Descent):
    """A descent whose network is compared with the unedited one."""

    def __init__(self, context: EditContext, examples: Examples, lr: float, tau: float) -> None:
        super().__init__(context, "scrub", examples, lr=lr)
        self.tau = tau
        self.logits = logits_of(examples, "scrub")
        self.teacher = calling(context.model, {})

    def both(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the losses (n,) of examples (n, ...) and KL(teacher || student), scalar, from one pass of each."""
        student = self.run(len(inputs))
        with torch.no_grad():
            wanted = self.logits(self.teacher, inputs, labels)
        losses = self.examples.losses(student, inputs, labels)
        return losses, divergence(wanted, self.logits(student, inputs, labels), self.tau)


def divergence(teacher: Tensor, student: Tensor, tau: float) -> Tensor:
    """Return ``tau``² times the mean over rows of KL(teacher || student) of logits (N, K) over ``tau``, scalar."""
    wanted, found = (functional.log_softmax(logits / tau, dim=1) for logits in (teacher, student))
    return functional.kl_div(found, wanted, reduction="batchmean", log_target=True) * tau**2
