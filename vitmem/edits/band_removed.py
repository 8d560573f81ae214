"""Diagnostic: what a network loses without one band of directions in what enters its layers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from pydantic import field_validator

from vitmem import kfac as engine
from vitmem.edits.base import EditContext, EditResult, each_layer
from vitmem.entries import Edit, Information, Needs
from vitmem.errors import InputError
from vitmem.lazy import torch
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from torch import Tensor

    from vitmem.kfac import LayerReport


@EDITS.register("band_removed")
class BandRemoved(Edit):
    """Diagnostic: remove one band of directions from what enters each layer.

    W (I - V_b V_bᵀ) for every W (p, q), V_b the vectors of ``band``, such as ``10-25`` per cent. Vectors are told into
    bands by number, from the largest eigenvalue down: those of A, (q, q), or in the basis ``svd`` the min(p, q) right
    singular vectors of W, which need no statistics. What is counted as kept are the pairs of an output and a direction
    that is left. Bands of A are those in which Merullo et al. (2025), figure 2, compare the inputs of memorized and
    other text.
    """

    title, role, uses = "band removed", "diagnostic", "unlabelled"
    example = {"band": "0-50"}
    band: str
    basis: Literal["kfac", "svd"] = "kfac"

    @field_validator("band")
    @classmethod
    def check_band(cls, band: str) -> str:
        """Refuse what is no band; return it as it is written shortest: one band has one name."""
        try:
            low, high = band_ends(band)
        except InputError as error:
            raise ValueError(str(error).removeprefix("band: ")) from None
        return f"{100 * low:g}-{100 * high:g}"

    @property
    def needs(self) -> Needs | None:
        """A of every layer, in the basis ``kfac``."""
        return Needs() if self.basis == "kfac" else None

    @property
    def information(self) -> Information:
        """Training inputs, where their statistics are read."""
        return "unlabelled" if self.basis == "kfac" else "data-free"

    def edit(self, context: EditContext) -> EditResult:
        """Remove the band.

        Raises InputError for a band that holds no vector of a layer and when a layer has no statistics, VitmemError
        naming the layer whose weight is not finite.
        """
        ends = band_ends(self.band)

        def remove(path: str, weight: Tensor) -> tuple[Tensor, LayerReport]:
            if self.basis == "kfac":
                vectors, count = context.statistics(path).eigen_a.vectors, weight.shape[1]
            else:
                # all q of them: those that W does not read are kept with the rest
                vectors, count = torch.linalg.svd(weight.double()).Vh.T.cpu(), min(weight.shape)
            before, size = engine.band_sizes(count, ends)
            if not size:
                raise InputError(
                    f"layer '{path}': band {self.band} holds none of its {count} directions; take a wider one"
                )
            mask = torch.ones(weight.shape, dtype=torch.float64)
            mask[:, before : before + size] = 0
            axes = engine.Basis(order=torch.arange(len(weight)))
            return engine.edit_matrix(weight, axes, engine.Basis(vectors=vectors), mask)

        return each_layer(context, remove)


def band_ends(band: str) -> tuple[float, float]:
    """Return where a band such as ``10-25`` begins and ends, as shares of all vectors; raises InputError for others."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", band)
    low, high = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    if not 0 <= low < high <= 100:
        raise InputError(f"band: expected 'low-high' in per cent, 0 <= low < high <= 100, such as 10-25, got '{band}'")
    return low / 100, high / 100
