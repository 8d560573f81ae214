"""NegGrad+ (Kurmanji et al. 2023): down the loss of what is to be kept and up that of what is to be forgotten."""

from __future__ import annotations

from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.descent import Descent
from vitmem.methods.told import batches, endless, told


def neggrad_plus(
    context: EditContext,
    *,
    alpha: float = 0.95,
    epochs: int = 5,
    lr: float = 1e-4,
    batch_size: int = 64,
    cap: float | None = None,
    discovery: float | None = None,
) -> EditResult:
    """Minimise ``alpha`` * CE(keep) - (1 - ``alpha``) * CE(forget) by SGD (momentum 0.9, weight decay 5e-4).

    An epoch goes once through what is to be kept, and each step sees ``batch_size`` of both. The loss of an example
    to forget counts for at most ``cap`` nats when given: the logarithm of the number of classes is the loss at chance,
    where the published loop stops. Only the weights W (p, q) of the given layers are trained. Raises InputError when
    there is nothing to forget or to keep, VitmemError when it diverges.
    """
    examples = told(context, "neggrad_plus", discovery)
    descent = Descent(context, "neggrad_plus", examples, lr=lr)
    others = endless(len(examples.forget[0]), batch_size, descent.generator)
    for _ in range(epochs):
        for rows in batches(len(examples.keep[0]), batch_size, descent.generator):
            keep = descent.losses(*descent.at(examples.keep, rows))
            forget = descent.losses(*descent.at(examples.forget, next(others)))
            forget = forget if cap is None else forget.clamp_max(cap)
            descent.step(alpha * keep.mean() - (1 - alpha) * forget.mean())
    return descent.result()
