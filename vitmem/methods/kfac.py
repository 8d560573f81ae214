"""The curvature edit: keep the pairs of high importance, set the rest to zero (Merullo et al. 2025)."""

from __future__ import annotations

import torch

from vitmem.kfac import edit_matrix, mask_of, pairs, weight_matrix
from vitmem.kfac.importance import Importance, Pairs, Side
from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.strength import Strength, applied


def kfac(
    context: EditContext,
    *,
    mass: float | None = None,
    fraction: float | None = None,
    match_drop: float | None = None,
    importance: Importance = "kfac",
    side: Side = "both",
) -> EditResult:
    """Edit every layer on its own in the bases of its statistics; exactly one strength is given.

    Raises InputError when a layer has no statistics or the importance needs moments they lack.
    """

    def edit(strength: Strength) -> EditResult:
        result = EditResult()
        for path, layer in context.layers.items():
            found = pairs(context.statistics(path), importance, side)
            staircase = strength.staircase(found)
            weight = weight_matrix(layer)
            mask = mask_of(staircase, weight.shape[1])
            result.weights[path], result.reports[path] = edit_matrix(
                weight, found.output, found.input, mask, kept_mass(found, mask)
            )
        return result

    return applied(Strength(mass, fraction, match_drop), context, edit)


def kept_mass(found: Pairs, mask: torch.Tensor) -> float:
    """Return the share of the importance on the pairs of ``mask`` (p, q)."""
    total = found.rows.sum() * found.columns.sum()
    return float(found.rows @ (mask.double() @ found.columns) / total)
