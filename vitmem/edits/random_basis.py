"""Control: keep as many pairs as K-FAC does, in random bases."""

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

    Bases are drawn with the edit's seed. ``random`` names the random one; the other is then K-FAC's.
    """

    title, role = "random basis", "control"
    random: Literal["input", "output"] | None = None

    @property
    def information(self) -> Information:
        """Training inputs when one basis is K-FAC's; only the mask profile when both are random."""
        return "data-free" if self.random is None else "unlabelled"

    def choose(self, path: str, found: Pairs, mask: Tensor, context: EditContext) -> tuple[Basis, Basis, Tensor]:
        """Return one or two random bases, and K-FAC's mask (p, q)."""
        generator = torch.Generator().manual_seed(seed_from(context.seed, path))
        output, inner = (engine.Basis(vectors=orthogonal(n, generator)) for n in mask.shape)
        of_kfac_in, of_kfac_out = self.random == "output", self.random == "input"
        return found.output if of_kfac_out else output, found.input if of_kfac_in else inner, mask


def orthogonal(n: int, generator: Generator) -> Tensor:
    """Return an orthogonal matrix (n, n) float64, Haar-distributed (QR of Gaussians with fixed signs)."""
    q, r = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))
    return q * r.diagonal().sign()
