"""The curvature edit that keeps what either of two sets of inputs needs, such as a class or a domain to protect."""

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

    W V Vᵀ for every W (p, q), V (q, k) an orthonormal basis of what the inputs of two sets need. A_1 = mean a aᵀ is
    that of the statistics, A_2 of those that ``second`` asks for. ``rule: span``: V spans leading eigenvectors of both,
    as many of each as have the same share of its trace (see ``union``): both sets keep at least this ``mass``.
    ``mixture``: the leading eigenvectors of c A_1 / tr A_1 + (1 - c) A_2 / tr A_2, c the ``share``, a half if ``None``:
    no k directions keep more of the two shares of the trace, so weighted. With ``side`` both it is the edit ``kfac`` of
    A and G that are mixed so. ``random`` is the control of ``span``: random directions in place of the second set's, as
    many. ``fraction`` is k / q, or the share of the pairs. The kept mass in the report is that of the set that keeps
    less, or of the mixture.
    """

    title, uses = "protect", "unlabelled"
    reads_second: ClassVar[bool] = True
    example = {"fraction": 0.3, "second": {"classes": [1]}}
    second: Statistics | None = None
    rule: Literal["span", "mixture", "random"] = "span"
    share: float | None = Field(default=None, gt=0, lt=1)
    side: Literal["A", "both"] = "A"

    def model_post_init(self, context: Any) -> None:
        """Refuse what one of the rules does not read, and a single set."""
        super().model_post_init(context)
        if self.second is None:
            raise ValueError("give 'second', whose statistics are kept too, such as {held_out: true} or {classes: [3]}")
        if self.rule != "mixture" and self.share is not None:
            raise ValueError(f"'share' is that of the first set in a mixture; leave it out of rule '{self.rule}'")
        if self.rule != "mixture" and self.side == "both":
            raise ValueError(f"rule '{self.rule}' knows the input side alone; give side 'A' or rule 'mixture'")

    @property
    def needs(self) -> Needs:
        """A of both sets, and G where both sides are mixed."""
        return Needs()

    def change(self, path: str, weight: Tensor, context: EditContext, prepared: Any) -> tuple[Tensor, LayerReport]:
        """Return W (p, q) projected on what both sets need.

        Raises InputError when the layer has no statistics of one of the sets, or all its inputs in one are zero.
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
        """Edit W (p, q) by its input side, or by pairs of both sides, of statistics that are divided by their trace."""
        share = 0.5 if self.share is None else self.share
        a, g = engine.mixture(one.a, other.a, share), engine.mixture(one.g, other.g, share)
        factors = engine.LayerFactors(one.count + other.count, a=a, g=g)
        if self.side == "A":
            return input_side(weight, engine.pairs(factors, "kfac", "A"), self)
        found = engine.pairs(factors, "kfac", "both")
        mask = self.mask(found)
        return engine.edit_matrix(weight, found.output, found.input, mask, found.mass_of(mask))

    def _of_span(
        self, weight: Tensor, one: LayerFactors, other: LayerFactors, drawn: Generator | None
    ) -> tuple[Tensor, LayerReport]:
        """Edit W (p, q) by what two sets span; ``drawn`` gives the second one's directions at random."""
        second = other.eigen_a
        if drawn is not None:
            second = engine.Eigen(second.values, orthogonal(len(second.values), drawn))
        basis = engine.union(one.eigen_a, second, fraction=self.fraction, mass=self.mass)
        count, size = basis.shape[1], weight.shape[1]
        # the directions that are left out complete it
        whole = basis if count == size else torch.linalg.qr(basis, mode="complete").Q
        mask = (torch.arange(size) < count).expand(weight.shape)
        shares = ((basis.T @ part.a.double() @ basis).trace() / part.a.double().trace() for part in (one, other))
        axes = engine.Basis(order=torch.arange(len(weight)))
        return engine.edit_matrix(weight, axes, engine.Basis(vectors=whole), mask, min(map(float, shares)))
