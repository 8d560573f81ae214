"""The curvature edit on the input side only: project W on the input directions of highest energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import field_validator

from vitmem import kfac as engine
from vitmem.edits.base import ByPairs, EditContext
from vitmem.entries import Needs
from vitmem.lazy import torch
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from torch import Tensor

    from vitmem.kfac import LayerReport, Pairs


@EDITS.register("kfac_input")
class KfacInput(ByPairs):
    """Keep the input directions of large second moment: K-FAC by its input side alone.

    W U_k U_kᵀ for every W (p, q), U_k (q, k) the leading eigenvectors of A = mean a aᵀ; no gradient is needed.
    ``fraction`` is k / q, ``mass`` the share of the trace of A in the k directions. ``centered`` uses the direction of
    the mean input and, orthogonal to it, the eigenvectors of the covariance. This is K-FAC with equal output
    directions, as in FOOF (Benzing 2022), and the projection of SliceGPT (Ashkboos et al. 2024) in each matrix.
    """

    title, uses = "K-FAC, input side", "unlabelled"
    example = {"fraction": 0.3}
    centered: bool | None = None

    @field_validator("centered")
    @classmethod
    def drop_disabled(cls, value: bool | None) -> bool | None:
        """Return ``None`` for ``False``, so that equal edits have one id."""
        return value or None

    @property
    def needs(self) -> Needs:
        """A, and the mean input for ``centered``."""
        return Needs("mean" if self.centered else "plain")

    def change(self, path: str, weight: Tensor, context: EditContext, prepared: Any) -> tuple[Tensor, LayerReport]:
        """Return W (p, q) projected; raises InputError when statistics of the layer are missing or lack the mean."""
        pairs = engine.pairs(context.statistics(path), "centered" if self.centered else "kfac", "A")
        return input_side(weight, pairs, self)


def input_side(weight: Tensor, found: Pairs, edit: ByPairs) -> tuple[Tensor, LayerReport]:
    """Return W V Vᵀ for ``weight`` W (p, q), V the leading input directions of the pairs ``found``, and its report.

    ``edit`` determines the number of directions.
    """
    # one row is enough: an input direction is kept in all rows or in none
    directions = engine.Pairs(found.output, found.input, torch.ones(1, dtype=torch.float64), found.columns)
    kept = edit.mask(directions)
    axes = engine.Basis(order=torch.arange(len(weight)))
    return engine.edit_matrix(weight, axes, found.input, kept.expand(weight.shape), directions.mass_of(kept))
