"""Control: rank pairs of singular vectors of each matrix by curvature, instead of K-FAC's own bases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from vitmem import kfac as engine
from vitmem.edits.base import ByPairs, EditContext
from vitmem.entries import Needs
from vitmem.lazy import torch
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from torch import Tensor

    from vitmem.kfac import LayerReport


@EDITS.register("singular_basis")
class SingularBasis(ByPairs):
    """Control: the pairs of a matrix's singular vectors of high curvature.

    The pairs of singular vectors of W = U S Vᵀ (p, q) with the largest (u_iᵀ G u_i) (v_jᵀ A v_j) are kept: SVD's basis
    with a ranking by curvature. ``side`` uses the factor of one side only.
    """

    title, role, uses = "singular basis", "control", "unlabelled"
    example = {"fraction": 0.3}
    side: Literal["both", "A", "G"] = "both"

    @property
    def needs(self) -> Needs:
        """A and G."""
        return Needs()

    def change(self, path: str, weight: Tensor, context: EditContext, prepared: Any) -> tuple[Tensor, LayerReport]:
        """Edit W (p, q) in its singular vectors; raises InputError when the layer has no statistics."""
        factors = context.statistics(path)
        u, _, vt = torch.linalg.svd(weight.double().cpu())
        output, inner = engine.Basis(vectors=u), engine.Basis(vectors=vt.T)
        pairs = engine.ranked(
            output, engine.quadratic(factors.g, u), inner, engine.quadratic(factors.a, vt.T), self.side
        )
        mask = self.mask(pairs)
        return engine.edit_matrix(weight, pairs.output, pairs.input, mask, pairs.mass_of(mask))
