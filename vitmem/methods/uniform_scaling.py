"""Control: every weight shrunk by the same factor, so that an edit is told from plain shrinkage."""

from __future__ import annotations

from vitmem.kfac.edit import replaced
from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.strength import Strength, applied


def uniform_scaling(
    context: EditContext,
    *,
    factor: float | None = None,
    match_drop: float | None = None,
    match_loss: float | None = None,
) -> EditResult:
    """Return ``factor`` * W for every W (p, q), so that ‖ΔW‖ = (1 - factor) ‖W‖; exactly one strength is given.

    Another edit of the same ``relative_change`` is what it is a control for. The report counts every weight as kept,
    and ‖W'‖²/‖W‖² as the energy. Raises VitmemError naming the layer whose weight is not finite.
    """

    def edit(strength: Strength) -> EditResult:
        value = strength.value(lambda share: share)
        result = EditResult()
        for path in context.layers:
            weight = context.weight(path)
            new = (weight.double() * value).to(weight.dtype)
            result.weights[path] = new
            result.reports[path] = replaced(weight, new, weight.numel(), weight.numel(), value**2)
        return result

    return applied(Strength(own=factor, match_drop=match_drop, match_loss=match_loss), context, edit)
