"""Diagnostic: remove one band of input directions from each layer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

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
    """Diagnostic: remove one band of input directions from each layer.

    W (I - V_b V_bᵀ) for every W (p, q), V_b the vectors of ``band``, such as ``10-25`` per cent. Bands are ranges of
    the vectors' indices in descending order of eigenvalue: the eigenvectors of A, (q, q), or with basis ``svd`` the
    min(p, q) right singular vectors of W, which need no statistics. The report counts pairs of an output and a
    remaining direction as kept. Merullo et al. (2025), figure 2, compare the inputs of memorized and other text in
    bands of A.
    """

    title, role, uses = "band removed", "diagnostic", "unlabelled"
    example = {"band": "0-50"}
    band: str
    basis: Literal["kfac", "svd"] = Field(default="kfac", description="eigenvectors of A, or singular vectors of W")

    @field_validator("band")
    @classmethod
    def check_band(cls, band: str) -> str:
        """Reject an invalid band; return its shortest form, so that one band has one name."""
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
        """Training inputs when their statistics are read, otherwise none."""
        return "unlabelled" if self.basis == "kfac" else "data-free"

    def edit(self, context: EditContext) -> EditResult:
        """Remove the band.

        Raises InputError when the band holds no vector of a layer or a layer has no statistics, VitmemError naming a
        layer with a non-finite weight.
        """
        ends = band_ends(self.band)

        def remove(path: str, weight: Tensor) -> tuple[Tensor, LayerReport]:
            if self.basis == "kfac":
                vectors, count = context.statistics(path).eigen_a.vectors, weight.shape[1]
            else:
                # all q of them: directions outside W's row space are kept
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
    """Return the ends of a band such as ``10-25`` as shares of all vectors; raises InputError for other text."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", band)
    low, high = (float(match[1]), float(match[2])) if match else (0.0, 0.0)
    if not 0 <= low < high <= 100:
        raise InputError(f"band: expected 'low-high' in per cent, 0 <= low < high <= 100, such as 10-25, got '{band}'")
    return low / 100, high / 100
