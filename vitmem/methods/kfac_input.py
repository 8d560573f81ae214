"""The curvature edit by the input side alone: W is projected on the directions in which its inputs have most energy."""

from __future__ import annotations

import torch
from torch import Tensor

from vitmem.kfac import Basis, LayerReport, edit_matrix, pairs
from vitmem.kfac.importance import Pairs
from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.strength import Strength, applied


def kfac_input(
    context: EditContext,
    *,
    mass: float | None = None,
    fraction: float | None = None,
    match_drop: float | None = None,
    match_loss: float | None = None,
    centered: bool | None = None,
) -> EditResult:
    """Return W U_k U_kᵀ for every W (p, q), U_k (q, k) the leading eigenvectors of A = mean a aᵀ; no gradient is read.

    ``fraction`` is k / q, ``mass`` the share of the trace of A that the k directions have; exactly one strength is
    given. ``centered`` takes the direction of the mean input and, across it, the eigenvectors of the covariance. This
    is K-FAC with every output direction alike, as in FOOF (Benzing 2022), and the projection of SliceGPT (Ashkboos et
    al. 2024) in each matrix. Raises InputError when a layer has no statistics, or not the mean that ``centered`` reads.
    """

    def edit(strength: Strength) -> EditResult:
        result = EditResult()
        for path in context.layers:
            weight = context.weight(path)
            found = pairs(context.statistics(path), "centered" if centered else "kfac", "A")
            result.weights[path], result.reports[path] = input_side(weight, found, strength)
        return result

    return applied(Strength(mass, fraction, match_drop, match_loss), context, edit)


def input_side(weight: Tensor, found: Pairs, strength: Strength) -> tuple[Tensor, LayerReport]:
    """Return W V Vᵀ for ``weight`` W (p, q), V the leading input directions of the pairs ``found``, and its report."""
    # one row stands for all: a direction of the input is kept in every row or in none
    directions = Pairs(found.output, found.input, torch.ones(1, dtype=torch.float64), found.columns)
    kept = strength.mask(directions)
    axes = Basis(order=torch.arange(len(weight)))
    return edit_matrix(weight, axes, found.input, kept.expand(weight.shape), directions.mass_of(kept))
