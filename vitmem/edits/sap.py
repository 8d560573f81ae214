"""SAP (Kodge et al., AAAI 2025): filter each layer's inputs, most in directions of low energy."""

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

    Every W (p, q) is multiplied from the right by U diag(Λ) Uᵀ, where A = U diag(μ) Uᵀ and Λ are the ``gains`` of μ. A
    larger ``alpha`` is a weaker edit; infinity changes nothing. To match a loss, alphas from 1 to 1e12 are searched.
    The report counts p times the sum of the gains as kept pairs.

    "SAP: Corrective Machine Unlearning with Scaled Activation Projection for Label Noise Robustness" (arXiv
    2403.08618) uses alpha from 1e4 to 1e6 and 1000 training images of low loss under the given labels. Here A is the
    one of the statistics, over all their inputs, and no label is read.
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
        """Return 1 for a share of 1e-4, 1e12 for a share of 1 - 1e-4, infinity for 1."""
        odds = inverse_odds(share)
        return (1e4 / odds) ** 1.5 if odds else math.inf

    def change(self, path: str, weight: Tensor, context: EditContext, prepared: Any) -> tuple[Tensor, LayerReport]:
        """Return W (p, q) filtered; raises InputError when the layer has no statistics or only zero inputs."""
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
