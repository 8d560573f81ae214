"""The curvature edit by the input side alone: W is projected on the directions in which its inputs have most energy."""

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

    W U_k U_kᵀ for every W (p, q), U_k (q, k) the leading eigenvectors of A = mean a aᵀ; no gradient is read.
    ``fraction`` is k / q, ``mass`` the share of the trace of A that the k directions have. ``centered`` takes the
    direction of the mean input and, across it, the eigenvectors of the covariance. This is K-FAC with every output
    direction alike, as in FOOF (Benzing 2022), and the projection of SliceGPT (Ashkboos et al. 2024) in each matrix.
    """

    title, uses = "K-FAC, input side", "unlabelled"
    example = {"fraction": 0.3}
    centered: bool | None = None

    @field_validator("centered")
    @classmethod
    def drop_disabled(cls, value: bool | None) -> bool | None:
        """Return ``None`` for what is off: the same edit has one id."""
        return value or None

    @property
    def needs(self) -> Needs:
        """A, and the mean input that ``centered`` reads."""
        return Needs("mean" if self.centered else "plain")

    def change(self, path: str, weight: Tensor, context: EditContext, prepared: Any) -> tuple[Tensor, LayerReport]:
        """Return W (p, q) projected; raises InputError when the layer has no statistics, or not those it reads."""
        found = engine.pairs(context.statistics(path), "centered" if self.centered else "kfac", "A")
        return input_side(weight, found, self)


def input_side(weight: Tensor, found: Pairs, edit: ByPairs) -> tuple[Tensor, LayerReport]:
    """Return W V Vᵀ for ``weight`` W (p, q), V the leading input directions of the pairs ``found``, and its report.

    ``edit`` says how many of them.
    """
    # one row stands for all: a direction of the input is kept in every row or in none
    directions = engine.Pairs(found.output, found.input, torch.ones(1, dtype=torch.float64), found.columns)
    kept = edit.mask(directions)
    axes = engine.Basis(order=torch.arange(len(weight)))
    return engine.edit_matrix(weight, axes, found.input, kept.expand(weight.shape), directions.mass_of(kept))
