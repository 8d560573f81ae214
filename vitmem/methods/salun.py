"""SalUn (Fan et al. 2024): random labels for what is to be forgotten, learned by the weights it needs most."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Generator, Tensor

from vitmem.methods.base import EditContext, EditResult, Examples
from vitmem.methods.descent import Descent, calling
from vitmem.methods.told import Pair, batches, logits_of, rows_of, told


def salun(
    context: EditContext,
    *,
    ratio: float = 0.5,
    epochs: int = 10,
    lr: float = 0.013,
    batch_size: int = 256,
    discovery: float | None = None,
) -> EditResult:
    """Train the share ``ratio`` of the weights with the largest gradient of what is to be forgotten, in absolute value.

    They are chosen over all given W (p, q) together; the others are what they were after every step, bit for bit. An
    epoch goes once through what is to be forgotten, with labels drawn anew from all classes (of text: all tokens), and
    then through what is to be kept with its own, by SGD (momentum 0.9, weight decay 5e-4). Raises InputError when
    there is nothing to forget or to keep, VitmemError when it diverges.
    """
    examples = told(context, "salun", discovery)
    descent = Descent(context, "salun", examples, lr=lr)
    (inputs, labels), keep = examples.forget, examples.keep
    descent.only = largest({k: g.abs() for k, g in descent.gradient(examples.forget, batch_size).items()}, ratio)
    classes = classes_of(context, examples, examples.forget, "salun")
    for _ in range(epochs):
        for pair in ((inputs, relabelled(labels, classes, descent.generator)), keep):
            for rows in batches(len(pair[0]), batch_size, descent.generator):
                descent.step(descent.losses(*descent.at(pair, rows)).mean())
    return descent.result()


def classes_of(context: EditContext, examples: Examples, pair: Pair, method: str) -> int:
    """Return how many classes (of text: tokens) the network tells apart, from the first example of a set (n, ...)."""
    with torch.no_grad():
        first = rows_of(context, pair, torch.arange(1))
        return logits_of(examples, method)(calling(context.model, {}), *first).shape[1]


def largest(values: Mapping[str, Tensor], ratio: float) -> dict[str, Tensor]:
    """Return masks of the floor(ratio * n) largest of all n values by path, (p, q) or (q, p) each."""
    flat = torch.cat([value.flatten() for value in values.values()])
    mask = torch.zeros_like(flat, dtype=torch.bool)
    mask[flat.topk(math.floor(round(ratio * len(flat), 6))).indices] = True
    parts = mask.split([value.numel() for value in values.values()])
    return {path: part.view_as(value) for (path, value), part in zip(values.items(), parts, strict=True)}


def relabelled(labels: Tensor, classes: int, generator: Generator) -> Tensor:
    """Return labels (n, ...) drawn uniformly from ``classes``; a negative one, where nothing is predicted, stays."""
    drawn = torch.randint(classes, labels.shape, generator=generator)
    return torch.where(labels < 0, labels, drawn)
