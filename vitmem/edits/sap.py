"""SAP (Kodge et al., AAAI 2025): filter what enters each layer, strongly where the inputs have little energy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vitmem import kfac as engine
from vitmem.edits.base import ByStrength, EditContext, inverse_odds
from vitmem.entries import Needs
from vitmem.errors import InputError
from vitmem.lazy import torch
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from torch import Tensor

    from vitmem.kfac import LayerReport


@EDITS.register("sap")
class Sap(ByStrength):
    """Filter the directions in which inputs have little energy (Kodge 2025).

    Every W (p, q) is multiplied from the right with U diag(Λ) Uᵀ, where A = U diag(μ) Uᵀ and Λ are ``gains`` of μ. The
    larger ``alpha`` the weaker the edit; infinity changes nothing. To match something, alphas from 1 to 1e12 are
    searched. The report counts the sum of the gains, p times, as the kept pairs.

    "SAP: Corrective Machine Unlearning with Scaled Activation Projection for Label Noise Robustness" (arXiv
    2403.08618) has alpha from 1e4 to 1e6 and takes its inputs from 1000 training images of low loss under the given
    labels. Here they are those of the statistics, whose A is over all that they saw: no label is read.
    """

    title, uses = "SAP", "unlabelled"
    exactly_one = ("alpha", *ByStrength.exactly_one)
    example = {"alpha": 10.0}
    alpha: float | None = Field(default=None, ge=1)

    @property
    def needs(self) -> Needs:
        """A of every layer."""
        return Needs()

    def of_share(self, share: float) -> float:
        """Return 1 for a share of 1e-4, 1e12 for one of all but 1e-4, infinity for 1."""
        odds = inverse_odds(share)
        return (1e4 / odds) ** 1.5 if odds else math.inf

    def change(self, path: str, weight: Tensor, context: EditContext, prepared: Any) -> tuple[Tensor, LayerReport]:
        """Return W (p, q) filtered; raises InputError when the layer has no statistics or its inputs are zero."""
        assert self.alpha is not None
        spectrum = context.statistics(path).eigen_a
        if not spectrum.values.any():
            raise InputError(f"layer '{path}': all its inputs are zero, so no direction has energy")
        every_row = gains(spectrum.values, self.alpha).expand(weight.shape)
        axes = engine.Basis(order=torch.arange(len(weight)))
        return engine.edit_matrix(weight, axes, engine.Basis(vectors=spectrum.vectors), every_row)


def gains(energies: Tensor, alpha: float) -> Tensor:
    """Return α s / ((α - 1) s + 1) for the shares s of the ``energies`` (q,), which are >= 0 and not all zero."""
    if math.isinf(alpha):
        return torch.ones_like(energies)
    shares = energies / energies.sum()
    return alpha * shares / ((alpha - 1) * shares + 1)
