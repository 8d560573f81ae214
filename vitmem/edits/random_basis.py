"""Control: the number of pairs that K-FAC keeps, in bases that no data have chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from vitmem import kfac as engine
from vitmem.edits.base import EditContext
from vitmem.edits.kfac import ByImportance
from vitmem.entries import Information
from vitmem.lazy import torch
from vitmem.registry import EDITS
from vitmem.specs import seed_from

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from vitmem.kfac import Basis, Pairs


@EDITS.register("random_basis")
class RandomBasis(ByImportance):
    """Control: K-FAC's mask profile in random orthogonal bases.

    They are drawn from the edit's seed. ``random`` names the one that is random; the other is K-FAC's own then.
    """

    title, role = "random basis", "control"
    random: Literal["input", "output"] | None = None

    @property
    def information(self) -> Information:
        """Training inputs where one of the bases is K-FAC's; nothing but a mask's profile where both are random."""
        return "data-free" if self.random is None else "unlabelled"

    def choose(self, path: str, found: Pairs, mask: Tensor, context: EditContext) -> tuple[Basis, Basis, Tensor]:
        """Return random bases, or one of them, and K-FAC's mask (p, q)."""
        generator = torch.Generator().manual_seed(seed_from(context.seed, path))
        output, inner = (engine.Basis(vectors=orthogonal(n, generator)) for n in mask.shape)
        of_kfac_in, of_kfac_out = self.random == "output", self.random == "input"
        return found.output if of_kfac_out else output, found.input if of_kfac_in else inner, mask


def orthogonal(n: int, generator: Generator) -> Tensor:
    """Return an orthogonal matrix (n, n) float64, uniform over all (QR of Gaussians, signs fixed)."""
    q, r = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))
    return q * r.diagonal().sign()
