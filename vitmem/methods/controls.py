"""Controls: the same number of pairs kept where there is no reason to, and where there is reason not to."""

from __future__ import annotations

import torch
from torch import Tensor

from vitmem.kfac import Basis, edit_matrix, mask_of, pairs, staircase_by_fraction, weight_matrix
from vitmem.kfac.importance import Importance, Side
from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.kfac import kept_mass
from vitmem.methods.strength import Strength, applied
from vitmem.specs import seed_from


def random_basis(
    context: EditContext,
    *,
    mass: float | None = None,
    fraction: float | None = None,
    match_drop: float | None = None,
    importance: Importance = "kfac",
    side: Side = "both",
) -> EditResult:
    """Edit with K-FAC's mask of pairs in two random orthogonal bases, drawn from the context's seed."""

    def edit(strength: Strength) -> EditResult:
        result = EditResult()
        for path, layer in context.layers.items():
            weight = weight_matrix(layer)
            p, q = weight.shape
            generator = torch.Generator().manual_seed(seed_from(context.seed, path))
            mask = mask_of(strength.staircase(pairs(context.statistics(path), importance, side)), q)
            output, inner = (Basis(vectors=orthogonal(n, generator)) for n in (p, q))
            result.weights[path], result.reports[path] = edit_matrix(weight, output, inner, mask)
        return result

    return applied(Strength(mass, fraction, match_drop), context, edit)


def complement(
    context: EditContext,
    *,
    mass: float | None = None,
    fraction: float | None = None,
    match_drop: float | None = None,
    importance: Importance = "kfac",
    side: Side = "both",
) -> EditResult:
    """Edit in K-FAC's bases but keep as many pairs of the *lowest* importance as K-FAC keeps of the highest."""

    def edit(strength: Strength) -> EditResult:
        result = EditResult()
        for path, layer in context.layers.items():
            found = pairs(context.statistics(path), importance, side)
            weight = weight_matrix(layer)
            total = weight.numel()
            kept = int(strength.staircase(found).sum())
            mask = torch.ones(weight.shape, dtype=torch.bool)
            if kept < total:
                mask = ~mask_of(staircase_by_fraction(found.rows, found.columns, 1 - kept / total), weight.shape[1])
            result.weights[path], result.reports[path] = edit_matrix(
                weight, found.output, found.input, mask, kept_mass(found, mask)
            )
        return result

    return applied(Strength(mass, fraction, match_drop), context, edit)


def orthogonal(n: int, generator: torch.Generator) -> Tensor:
    """Return an orthogonal matrix (n, n) float64, uniform over all (QR of Gaussians, signs fixed)."""
    q, r = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))
    return q * r.diagonal().sign()
