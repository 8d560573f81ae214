"""The curvature edit: keep the pairs of high importance, set the rest to zero (Merullo et al. 2025)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from vitmem.kfac import Basis, edit_matrix, pairs
from vitmem.kfac.importance import Importance, Pairs, Side
from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.strength import Strength, applied

# (path, pairs of its layer, mask of those that are kept (p, q)) -> output basis, input basis, mask to edit with
Choice = Callable[[str, Pairs, Tensor], tuple[Basis, Basis, Tensor]]


def kfac(
    context: EditContext,
    *,
    mass: float | None = None,
    fraction: float | None = None,
    match_drop: float | None = None,
    match_loss: float | None = None,
    importance: Importance = "kfac",
    side: Side = "both",
) -> EditResult:
    """Edit every layer on its own in the bases of its statistics; exactly one strength is given.

    Raises InputError when a layer has no statistics or the importance needs moments they lack, VitmemError naming
    the layer whose weight is not finite.
    """

    def chosen(_path: str, found: Pairs, mask: Tensor) -> tuple[Basis, Basis, Tensor]:
        return found.output, found.input, mask

    return edit_pairs(context, Strength(mass, fraction, match_drop, match_loss), importance, side, chosen)


def edit_pairs(
    context: EditContext, strength: Strength, importance: Importance, side: Side, choice: Choice
) -> EditResult:
    """Select pairs of each W (p, q) at ``strength`` and edit with the bases and the mask that ``choice`` makes of it.

    The report has the kept mass where the bases are those that the importance was measured in.
    """

    def edit(strength: Strength) -> EditResult:
        result = EditResult()
        for path in context.layers:
            found = pairs(context.statistics(path), importance, side)
            weight = context.weight(path)
            output, inner, mask = choice(path, found, strength.mask(found))
            mass = found.mass_of(mask) if output is found.output and inner is found.input else None
            result.weights[path], result.reports[path] = edit_matrix(weight, output, inner, mask, mass)
        return result

    return applied(strength, context, edit)
