"""Control: keep as many pairs as K-FAC does, at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitmem.edits.base import EditContext
from vitmem.edits.kfac import ByImportance
from vitmem.lazy import torch
from vitmem.registry import EDITS
from vitmem.specs import seed_from

if TYPE_CHECKING:
    from torch import Tensor

    from vitmem.kfac import Basis, Pairs


@EDITS.register("random_pairs")
class RandomPairs(ByImportance):
    """Control: keep the same number of pairs as K-FAC, at random.

    Pairs are drawn with the edit's seed. The pairs kept at a smaller share are a subset of those at a larger one.
    """

    title, role = "random pairs", "control"

    def choose(self, path: str, found: Pairs, mask: Tensor, context: EditContext) -> tuple[Basis, Basis, Tensor]:
        """Return K-FAC's bases and a mask (p, q) of equally many random pairs."""
        generator = torch.Generator().manual_seed(seed_from(context.seed, path))
        order = torch.randperm(mask.numel(), generator=generator)
        kept = torch.zeros(mask.numel(), dtype=torch.bool)
        kept[order[: int(mask.sum())]] = True
        return found.output, found.input, kept.reshape(mask.shape)
