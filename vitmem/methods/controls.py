"""Controls: the same number of pairs kept where there is no reason to, and where there is reason not to."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from vitmem.kfac import Basis
from vitmem.kfac.importance import Importance, Pairs, Side
from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.kfac import edit_pairs
from vitmem.methods.strength import Strength
from vitmem.specs import seed_from


def random_basis(
    context: EditContext,
    *,
    mass: float | None = None,
    fraction: float | None = None,
    match_drop: float | None = None,
    match_loss: float | None = None,
    importance: Importance = "kfac",
    side: Side = "both",
    random: Literal["input", "output"] | None = None,
) -> EditResult:
    """Edit with K-FAC's mask of pairs in random orthogonal bases, drawn from the context's seed.

    ``random`` names the one that is; the other is K-FAC's own then.
    """

    def rotated(path: str, found: Pairs, mask: Tensor) -> tuple[Basis, Basis, Tensor]:
        generator = torch.Generator().manual_seed(seed_from(context.seed, path))
        output, inner = (Basis(vectors=orthogonal(n, generator)) for n in mask.shape)
        return found.output if random == "input" else output, found.input if random == "output" else inner, mask

    return edit_pairs(context, Strength(mass, fraction, match_drop, match_loss), importance, side, rotated)


def complement(
    context: EditContext,
    *,
    mass: float | None = None,
    fraction: float | None = None,
    match_drop: float | None = None,
    match_loss: float | None = None,
    importance: Importance = "kfac",
    side: Side = "both",
) -> EditResult:
    """Edit in K-FAC's bases but keep as many pairs of the *lowest* importance as K-FAC keeps of the highest."""

    def lowest(_path: str, found: Pairs, mask: Tensor) -> tuple[Basis, Basis, Tensor]:
        rest = 1 - int(mask.sum()) / mask.numel()
        if rest:
            mask = ~found.by_fraction(rest)
        return found.output, found.input, mask

    return edit_pairs(context, Strength(mass, fraction, match_drop, match_loss), importance, side, lowest)


def random_pairs(
    context: EditContext,
    *,
    mass: float | None = None,
    fraction: float | None = None,
    match_drop: float | None = None,
    match_loss: float | None = None,
    importance: Importance = "kfac",
    side: Side = "both",
) -> EditResult:
    """Edit in K-FAC's bases but keep as many pairs as K-FAC keeps at random, drawn from the context's seed.

    The pairs that a smaller share keeps are among those of a larger one.
    """

    def drawn(path: str, found: Pairs, mask: Tensor) -> tuple[Basis, Basis, Tensor]:
        generator = torch.Generator().manual_seed(seed_from(context.seed, path))
        order = torch.randperm(mask.numel(), generator=generator)
        kept = torch.zeros(mask.numel(), dtype=torch.bool)
        kept[order[: int(mask.sum())]] = True
        return found.output, found.input, kept.reshape(mask.shape)

    return edit_pairs(context, Strength(mass, fraction, match_drop, match_loss), importance, side, drawn)


def orthogonal(n: int, generator: torch.Generator) -> Tensor:
    """Return an orthogonal matrix (n, n) float64, uniform over all (QR of Gaussians, signs fixed)."""
    q, r = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))
    return q * r.diagonal().sign()
