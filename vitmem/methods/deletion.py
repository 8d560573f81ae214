"""DEL (Torkzadehmahani et al. 2025): channels that hold what is to be forgotten start anew and learn the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from vitmem.kfac.layers import kept_as, matrix_of
from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.descent import Descent, stored
from vitmem.methods.told import batches, told

LAST = 0.01  # the learning rate that the cosine ends at, as a share of the first


def deletion(
    context: EditContext,
    *,
    ratio: float = 0.3,
    epochs: int = 30,
    lr: float = 0.05,
    batch_size: int = 128,
    discovery: float | None = None,
) -> EditResult:
    """Draw the most critical output channels of all W (p, q) anew and train them, and nothing else, on the rest.

    A channel's score is the mean over its q inputs of |w * dL/dw|, L the loss of what is to be forgotten; the highest
    are taken while their weights are at most the share ``ratio`` of all. A new weight is uniform within one over the
    root of q (published: what it was before the training, which an edit does not know). Training is by SGD (momentum
    0.9, no weight decay), the learning rate falling along a cosine from ``lr``, published for a ViT, to a hundredth.
    Unlike there the classifier stays as it is: only the given layers are edited. Raises InputError when there is
    nothing to forget or to keep, VitmemError when it diverges.
    """
    examples = told(context, "del", discovery)
    descent = Descent(context, "del", examples, lr=lr, decay=0.0)
    found = descent.gradient(examples.forget, batch_size)
    layers = context.layers.items()
    masks = critical({path: matrix_of(layer, (stored(layer) * found[path]).abs()) for path, layer in layers}, ratio)
    descent.only = {path: kept_as(layer, masks[path]) for path, layer in layers}
    descent.start_anew()
    for epoch in range(epochs):
        share = (1 + math.cos(math.pi * epoch / epochs)) / 2
        for rows in batches(len(examples.keep[0]), batch_size, descent.generator):
            loss = descent.losses(*descent.at(examples.keep, rows)).mean()
            descent.step(loss, lr * (LAST + (1 - LAST) * share))
    return descent.result()


def critical(values: Mapping[str, Tensor], ratio: float) -> dict[str, Tensor]:
    """Return masks (p, q) of the rows of the highest means of all ``values`` (p, q) by path together.

    Rows are taken whole, while all that is taken is at most the share ``ratio`` of the numbers.
    """
    scores = torch.cat([value.mean(1) for value in values.values()]).cpu()
    sizes = torch.cat([torch.full((len(value),), value.shape[1]) for value in values.values()])
    order = scores.argsort(descending=True, stable=True)
    taken = torch.zeros(len(scores), dtype=torch.bool)
    taken[order[sizes[order].cumsum(0) <= math.floor(round(ratio * int(sizes.sum()), 6))]] = True
    parts = taken.split([len(value) for value in values.values()])
    return {
        path: part[:, None].to(value.device).expand_as(value)
        for (path, value), part in zip(values.items(), parts, strict=True)
    }
