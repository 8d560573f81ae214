"""Control: keep as many pairs as K-FAC does, those of lowest importance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitmem.edits.base import EditContext
from vitmem.edits.kfac import ByImportance
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from torch import Tensor

    from vitmem.kfac import Basis, Pairs


@EDITS.register("complement")
class Complement(ByImportance):
    """Control: keep the same number of pairs of lowest curvature."""

    title, role = "complement", "control"

    def choose(self, path: str, found: Pairs, mask: Tensor, context: EditContext) -> tuple[Basis, Basis, Tensor]:
        """Return K-FAC's bases and a mask (p, q) of equally many pairs of the *lowest* importance."""
        rest = 1 - int(mask.sum()) / mask.numel()
        if rest:
            mask = ~found.by_fraction(rest)
        return found.output, found.input, mask
