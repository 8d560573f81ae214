"""The curvature edit that keeps the input directions of two sets, such as a class or a domain to protect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from vitmem import kfac as engine
from vitmem.edits.base import ByPairs, EditContext
from vitmem.edits.kfac_input import input_side
from vitmem.edits.random_basis import orthogonal
from vitmem.entries import Needs
from vitmem.errors import InputError
from vitmem.lazy import torch
from vitmem.registry import EDITS
from vitmem.specs import Statistics, seed_from

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from vitmem.kfac import LayerFactors, LayerReport


@EDITS.register("protect")
class Protect(ByPairs):
    """Keep the input directions that either of two sets needs: a class, a domain, other images.

    W V Vᵀ for every W (p, q), V (q, k) an orthonormal basis from A_1 = mean a aᵀ of the statistics and A_2 of the set
    ``second``. ``rule: span``: V spans leading eigenvectors of both, in numbers that give each set the same share of
    its trace (see ``union``), so both sets keep at least this ``mass``. ``mixture``: the leading eigenvectors of c A_1
    / tr A_1 + (1 - c) A_2 / tr A_2, c the ``share`` (default 1/2): no k directions keep more of the weighted sum of the
    two trace shares. With ``side: both`` this is the edit ``kfac`` with A and G mixed in this way. ``random`` is the
    control of ``span``: equally many random directions instead of the second set's. ``fraction`` is k / q, or the share
    of the pairs. The report's kept mass is that of the set that keeps less, or of the mixture.
    """

    title, uses = "protect", "unlabelled"
    reads_second: ClassVar[bool] = True
    example = {"fraction": 0.3, "second": {"classes": [1]}}
    second: Statistics | None = None
    rule: Literal["span", "mixture", "random"] = Field(
        default="span",
        description="directions of both sets, of their mixture, or random ones in place of the second set's",
    )
    share: float | None = Field(default=None, gt=0, lt=1)
    side: Literal["A", "both"] = Field(default="A", description="the input side, or pairs (of the mixture alone)")

    def model_post_init(self, context: Any) -> None:
        """Reject parameters that the rule does not use, and a missing second set."""
        super().model_post_init(context)
        if self.second is None:
            raise ValueError("give 'second', the set to keep as well, such as {held_out: true} or {classes: [3]}")
        if self.rule != "mixture" and self.share is not None:
            raise ValueError(f"'share' is the first set's weight in a mixture; leave it out of rule '{self.rule}'")
        if self.rule != "mixture" and self.side == "both":
            raise ValueError(f"rule '{self.rule}' uses the input side only; give side 'A' or rule 'mixture'")

    @property
    def needs(self) -> Needs:
        """A of both sets, and G when both sides are mixed."""
        return Needs()

    def change(self, path: str, weight: Tensor, context: EditContext, prepared: Any) -> tuple[Tensor, LayerReport]:
        """Return W (p, q) projected on the directions of both sets.

        Raises InputError when the layer has no statistics of one of the sets, or all its inputs in one set are zero.
        """
        both = context.statistics(path), context.second_statistics(path)
        try:
            if self.rule == "mixture":
                return self._of_mixture(weight, *both)
            drawn = torch.Generator().manual_seed(seed_from(context.seed, path)) if self.rule == "random" else None
            return self._of_span(weight, *both, drawn)
        except InputError as error:
            raise InputError(f"layer '{path}': {error}") from None

    def _of_mixture(self, weight: Tensor, one: LayerFactors, other: LayerFactors) -> tuple[Tensor, LayerReport]:
        """Edit W (p, q) by its input side, or by pairs of both sides, with statistics normalised by their trace."""
        share = 0.5 if self.share is None else self.share
        a, g = engine.mixture(one.a, other.a, share), engine.mixture(one.g, other.g, share)
        factors = engine.LayerFactors(one.count + other.count, a=a, g=g)
        if self.side == "A":
            return input_side(weight, engine.pairs(factors, "kfac", "A"), self)
        pairs = engine.pairs(factors, "kfac", "both")
        mask = self.mask(pairs)
        return engine.edit_matrix(weight, pairs.output, pairs.input, mask, pairs.mass_of(mask))

    def _of_span(
        self, weight: Tensor, one: LayerFactors, other: LayerFactors, drawn: Generator | None
    ) -> tuple[Tensor, LayerReport]:
        """Edit W (p, q) by the span of two sets; the generator ``drawn`` makes the second set's directions random."""
        second = other.eigen_a
        if drawn is not None:
            second = engine.Eigen(second.values, orthogonal(len(second.values), drawn))
        basis = engine.union(one.eigen_a, second, fraction=self.fraction, mass=self.mass)
        count, size = basis.shape[1], weight.shape[1]
        # the remaining directions complete the basis
        whole = basis if count == size else torch.linalg.qr(basis, mode="complete").Q
        mask = (torch.arange(size) < count).expand(weight.shape)
        shares = ((basis.T @ part.a.double() @ basis).trace() / part.a.double().trace() for part in (one, other))
        axes = engine.Basis(order=torch.arange(len(weight)))
        return engine.edit_matrix(weight, axes, engine.Basis(vectors=whole), mask, min(map(float, shares)))
