"""Control: K-FAC's measure of pairs along the singular vectors of each matrix, in place of K-FAC's own bases."""

from __future__ import annotations

import torch

from vitmem.kfac import Basis, edit_matrix
from vitmem.kfac.importance import Side, quadratic, ranked
from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.strength import Strength, applied


def singular_basis(
    context: EditContext,
    *,
    mass: float | None = None,
    fraction: float | None = None,
    match_drop: float | None = None,
    match_loss: float | None = None,
    side: Side = "both",
) -> EditResult:
    """Keep the pairs of singular vectors of W = U S Vᵀ (p, q) with the largest (u_iᵀ G u_i) (v_jᵀ A v_j).

    What SVD ranks by singular values is ranked by curvature; ``side`` reads that of one side only. Exactly one strength
    is given. Raises InputError when a layer has no statistics, VitmemError naming the layer whose weight is not finite.
    """

    def edit(strength: Strength) -> EditResult:
        result = EditResult()
        for path in context.layers:
            weight, factors = context.weight(path), context.statistics(path)
            u, _, vt = torch.linalg.svd(weight.double().cpu())
            output, inner = Basis(vectors=u), Basis(vectors=vt.T)
            found = ranked(output, quadratic(factors.g, u), inner, quadratic(factors.a, vt.T), side)
            mask = strength.mask(found)
            result.weights[path], result.reports[path] = edit_matrix(
                weight, found.output, found.input, mask, found.mass_of(mask)
            )
        return result

    return applied(Strength(mass, fraction, match_drop, match_loss), context, edit)
