"""The curvature edit: keep the pairs of high importance, zero the rest (Merullo et al. 2025)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from vitmem import kfac as engine
from vitmem.edits.base import ByPairs, EditContext
from vitmem.entries import Moments, Needs
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from torch import Tensor

    from vitmem.kfac import Basis, LayerReport, Pairs

# Moments that an importance reads in addition to A and G.
MOMENTS: dict[str, Moments] = {
    "centered": "mean",
    "ckfac": "coupled",
    "tkfac": "coupled",
    "identity": "diagonal",
    "ekfac": "eigen",
}


class ByImportance(ByPairs):
    """An edit that keeps pairs of eigenvectors of A and G; ``side`` restricts the importance to one of the two."""

    uses = "unlabelled"
    exactly_one: ClassVar[tuple[str, ...]] = ByPairs.exactly_one
    example = {"fraction": 0.3}
    importance: Literal["kfac", "centered", "ckfac", "tkfac", "foof", "identity", "ekfac"] = Field(
        default="kfac", description="the values that rank the pairs, see vitmem.kfac.importance.pairs"
    )
    side: Literal["both", "A", "G"] = "both"

    def model_post_init(self, context: Any) -> None:
        """Reject side 'G' for an importance without an output side."""
        super().model_post_init(context)
        if self.importance == "foof" and self.side == "G":
            raise ValueError("importance 'foof' uses the input side only; give side 'both' or 'A'")

    @property
    def needs(self) -> Needs:
        """A and G, and the additional moments of the importance."""
        return Needs(MOMENTS.get(self.importance, "plain"))

    def choose(self, path: str, found: Pairs, mask: Tensor, context: EditContext) -> tuple[Basis, Basis, Tensor]:
        """Return output basis, input basis and mask (p, q) of the edit, from the pairs of a layer and K-FAC's mask."""
        return found.output, found.input, mask

    def change(self, path: str, weight: Tensor, context: EditContext, prepared: Any) -> tuple[Tensor, LayerReport]:
        """Edit W (p, q) in the bases of its statistics.

        The report has the kept mass when the bases are those of the importance. Raises InputError when a layer has no
        statistics or they lack moments that the importance needs.
        """
        pairs = engine.pairs(context.statistics(path), self.importance, self.side)
        output, inner, mask = self.choose(path, pairs, self.mask(pairs), context)
        mass = pairs.mass_of(mask) if output is pairs.output and inner is pairs.input else None
        return engine.edit_matrix(weight, output, inner, mask, mass)


@EDITS.register("kfac")
class Kfac(ByImportance):
    """Keep the pairs of high curvature (Merullo 2025)."""

    title = "K-FAC"
