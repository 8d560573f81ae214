"""The curvature edit that keeps what either of two sets of inputs needs, such as a class or a domain to protect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from vitmem.errors import InputError
from vitmem.kfac import Basis, Eigen, LayerFactors, LayerReport, edit_matrix, pairs
from vitmem.kfac.union import mixture, union
from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.controls import orthogonal
from vitmem.methods.kfac_input import input_side
from vitmem.methods.strength import Strength, applied
from vitmem.specs import seed_from


def protect(
    context: EditContext,
    *,
    mass: float | None = None,
    fraction: float | None = None,
    match_drop: float | None = None,
    match_loss: float | None = None,
    second: Mapping[str, Any] | None = None,
    rule: Literal["span", "mixture", "random"] = "span",
    share: float | None = None,
    side: Literal["A", "both"] = "A",
) -> EditResult:
    """Return W V Vᵀ for every W (p, q), V (q, k) an orthonormal basis of what the inputs of two sets need.

    A_1 = mean a aᵀ is that of the statistics, A_2 of those that ``second`` asked for. ``span``: V spans leading
    eigenvectors of both, as many of each as have the same share of its trace (see ``union``): both sets keep at least
    this ``mass``. ``mixture``: the leading eigenvectors of c A_1 / tr A_1 + (1 - c) A_2 / tr A_2, c the ``share``, a
    half if ``None``: no k directions keep more of the two shares of the trace, so weighted. With ``side`` both it is
    the edit ``kfac`` of A and G that are mixed so. ``random`` is the control of ``span``: random directions in place of
    the second set's, as many. ``fraction`` is k / q, or the share of the pairs; exactly one strength is given.

    The kept mass in the report is that of the set that keeps less, or of the mixture. Raises InputError when a layer
    has no statistics of one of the sets, or all its inputs in one of them are zero.
    """

    def edit(strength: Strength) -> EditResult:
        result = EditResult()
        for path in context.layers:
            both = context.statistics(path), context.second_statistics(path)
            weight = context.weight(path)
            try:
                if rule == "mixture":
                    found = _of_mixture(weight, _mixed(*both, 0.5 if share is None else share), strength, side)
                else:
                    found = _of_span(weight, *both, strength, _drawn(context, path) if rule == "random" else None)
            except InputError as error:
                raise InputError(f"layer '{path}': {error}") from None
            result.weights[path], result.reports[path] = found
        return result

    return applied(Strength(mass, fraction, match_drop, match_loss), context, edit)


def _mixed(one: LayerFactors, other: LayerFactors, share: float) -> LayerFactors:
    """Return the statistics of both sets, each divided by its trace, ``share`` of them the first set's."""
    count = one.count + other.count
    return LayerFactors(count, a=mixture(one.a, other.a, share), g=mixture(one.g, other.g, share))


def _of_mixture(weight: Tensor, factors: LayerFactors, strength: Strength, side: str) -> tuple[Tensor, LayerReport]:
    """Edit W (p, q) by its input side, or by pairs of both sides."""
    if side == "A":
        return input_side(weight, pairs(factors, "kfac", "A"), strength)
    found = pairs(factors, "kfac", "both")
    mask = strength.mask(found)
    return edit_matrix(weight, found.output, found.input, mask, found.mass_of(mask))


def _of_span(
    weight: Tensor, one: LayerFactors, other: LayerFactors, strength: Strength, drawn: torch.Generator | None
) -> tuple[Tensor, LayerReport]:
    """Edit W (p, q) by what two sets span; ``drawn`` gives the second one's directions at random."""
    second = other.eigen_a
    if drawn is not None:
        second = Eigen(second.values, orthogonal(len(second.values), drawn))
    basis = union(one.eigen_a, second, fraction=strength.fraction, mass=strength.mass)
    count, size = basis.shape[1], weight.shape[1]
    # the directions that are left out complete it
    whole = basis if count == size else torch.linalg.qr(basis, mode="complete").Q
    mask = (torch.arange(size) < count).expand(weight.shape)
    mass = min(float((basis.T @ part.a.double() @ basis).trace() / part.a.double().trace()) for part in (one, other))
    return edit_matrix(weight, Basis(order=torch.arange(len(weight))), Basis(vectors=whole), mask, mass)


def _drawn(context: EditContext, path: str) -> torch.Generator:
    return torch.Generator().manual_seed(seed_from(context.seed, path))
