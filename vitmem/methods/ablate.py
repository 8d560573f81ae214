"""Control: the edited matrices at zero. What is left is what the network can do without them."""

from __future__ import annotations

import torch

from vitmem.kfac.edit import replaced
from vitmem.methods.base import EditContext, EditResult


def ablate(context: EditContext) -> EditResult:
    """Return zeros for every W (p, q); biases stay.

    What is still memorized lies elsewhere in the network; the accuracy that is left passes around these matrices. No
    edit of them can take out more memory than this one. Raises VitmemError naming the layer whose weight is not finite.
    """
    result = EditResult()
    for path in context.layers:
        weight = context.weight(path)
        new = torch.zeros_like(weight)
        result.weights[path], result.reports[path] = new, replaced(weight, new, 0, weight.numel(), 0.0)
    return result
