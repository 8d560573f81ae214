"""SAP (Kodge et al., AAAI 2025): filter what enters each layer, strongly where the inputs have little energy."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vitmem.errors import InputError
from vitmem.kfac import Basis, edit_matrix
from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.strength import Strength, applied, odds_against


def sap(
    context: EditContext,
    *,
    alpha: float | None = None,
    match_drop: float | None = None,
    match_loss: float | None = None,
) -> EditResult:
    """Multiply every W (p, q) from the right with U diag(Λ) Uᵀ, where A = U diag(μ) Uᵀ and Λ are ``gains`` of μ.

    The larger ``alpha`` the weaker the edit; infinity changes nothing. To match something, alphas from 1 to 1e12 are
    searched. Exactly one strength is given. The report counts the sum of the gains, p times, as the kept pairs.
    Raises InputError when a layer has no statistics, VitmemError naming the layer whose weight is not finite.

    "SAP: Corrective Machine Unlearning with Scaled Activation Projection for Label Noise Robustness" (arXiv
    2403.08618) has alpha from 1e4 to 1e6 and takes its inputs from 1000 training images of low loss under the given
    labels. Here they are those of the statistics, whose A is over all that they saw: no label is read.
    """

    def edit(strength: Strength) -> EditResult:
        value = strength.value(_alpha)
        result = EditResult()
        for path in context.layers:
            weight, spectrum = context.weight(path), context.statistics(path).eigen_a
            if not spectrum.values.any():
                raise InputError(f"layer '{path}': all its inputs are zero, so no direction has energy")
            every_row = gains(spectrum.values, value).expand(weight.shape)
            axes = Basis(order=torch.arange(len(weight)))
            result.weights[path], result.reports[path] = edit_matrix(
                weight, axes, Basis(vectors=spectrum.vectors), every_row
            )
        return result

    return applied(Strength(own=alpha, match_drop=match_drop, match_loss=match_loss), context, edit)


def gains(energies: Tensor, alpha: float) -> Tensor:
    """Return α s / ((α - 1) s + 1) for the shares s of the ``energies`` (q,), which are >= 0 and not all zero."""
    if math.isinf(alpha):
        return torch.ones_like(energies)
    shares = energies / energies.sum()
    return alpha * shares / ((alpha - 1) * shares + 1)


def _alpha(share: float) -> float:
    """Return 1 for a share of 1e-4, 1e12 for one of all but 1e-4, infinity for 1."""
    odds = odds_against(share)
    return (1e4 / odds) ** 1.5 if odds else math.inf
