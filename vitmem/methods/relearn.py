"""Probe: another edit, then training on: does what was removed come back, and how fast.

Relearning tells memory that is gone from memory that is hidden: "Eight Methods to Evaluate Robust Unlearning" (Lynch
et al. 2024, arXiv 2402.16835), "Jogging the Memory of Unlearned Models Through Targeted Relearning Attacks" (Hu et al.
2024, arXiv 2406.13356).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Literal

import torch
from torch import Tensor

from vitmem.errors import InputError
from vitmem.kfac import edited
from vitmem.methods.base import EditContext, EditResult, Examples
from vitmem.methods.descent import Descent
from vitmem.methods.inner import inner_edit
from vitmem.methods.told import Pair, endless, told


def relearn(
    context: EditContext,
    *,
    after: dict[str, Any],
    steps: int = 100,
    lr: float = 0.025,
    batch_size: int = 128,
    train_on: Literal["given", "right"] = "given",
    classes: tuple[int, ...] | None = None,
) -> EditResult:
    """Edit as ``after`` says, then train the weights W (p, q) of the given layers for ``steps`` of SGD at ``lr``.

    ``train_on: given`` trains on the examples to keep and those known to forget, as given: what is measured on others
    to forget is then memory that nobody put back. ``classes`` are the given labels whose examples are put back, the
    others stay out. ``train_on: right`` trains on the examples to keep alone. Momentum 0.9 and weight decay 5e-4;
    batches are drawn by the edit's seed and the rate is constant, so that fewer steps are the beginning of more. Layers
    that the inner edit alone changes stay as it left them. Reports are of the change from the trained weights; passes
    are those of the inner edit and these. Raises what the inner edit raises, InputError when there is nothing to train
    on, VitmemError when it diverges.
    """
    for path in context.layers:
        context.weight(path)  # which has to be finite
    inner = inner_edit(context, after)
    examples = told(context, "relearn", keep_alone=train_on == "right")
    if classes is not None:
        examples = replace(examples, forget=of_classes(examples.forget, classes))
    with edited(context.model, inner.weights):  # what is trained begins where the inner edit ends
        descent = Descent(context, "relearn", examples, lr=lr)
        order = endless(len(examples.keep[0]) + len(examples.forget[0]), batch_size, descent.generator)
        for rows in islice(order, steps):
            descent.step(_losses(descent, examples, rows).mean())
    result = descent.result()
    return EditResult(
        {**inner.weights, **result.weights}, {**inner.reports, **result.reports}, inner.passes + result.passes
    )


def of_classes(pair: Pair, classes: Sequence[int]) -> Pair:
    """Return the inputs and labels (n, ...) whose label (n,) is one of ``classes``; raises InputError for none."""
    inputs, labels = pair
    if labels.dim() != 1:
        raise InputError("edit: 'classes' needs examples of one label each, and these have many; leave it out")
    rows = torch.isin(labels, torch.tensor(classes, device=labels.device))
    if not rows.any():
        text = ", ".join(map(str, classes))
        raise InputError(f"edit: none of the {len(labels)} known examples to forget is given class {text}; take others")
    return inputs[rows], labels[rows]


def _losses(descent: Descent, examples: Examples, rows: Tensor) -> Tensor:
    """Return the losses (n,) of rows (n,) of the examples to keep and, numbered after these, of those to forget."""
    kept = len(examples.keep[0])
    # one set at a time: rows of text may be longer in one than in the other
    parts = ((examples.keep, rows[rows < kept]), (examples.forget, rows[rows >= kept] - kept))
    return torch.cat([descent.losses(*descent.at(pair, some)) for pair, some in parts if len(some)])
