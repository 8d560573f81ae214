"""Random-matrix filter of the singular values (Staats et al. 2022) with the shrinker of Gavish and Donoho (2017)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vitmem import kfac as engine
from vitmem.edits.base import ByStrength, EditContext, inverse_odds
from vitmem.edits.svd import decomposed
from vitmem.lazy import torch
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from torch import Tensor

    from vitmem.edits.svd import Parts
    from vitmem.kfac import LayerReport


@EDITS.register("svd_rmt")
class SvdRmt(ByStrength):
    """Drop the singular values of noise, shrink the rest (Staats 2022).

    W (p, q) is modelled as signal plus iid noise of standard deviation σ, fitted so that the median singular value is
    that of noise. ``edge`` multiplies σ and with it the edge of the bulk: 1 is the published filter, 0 changes nothing.
    To match a loss, edges from 0.01 to 100 are searched. The report counts the remaining singular values.

    "Boundary between noise and information applied to filtering neural network weight matrices" (arXiv 2206.03927);
    "Optimal shrinkage of singular values" (arXiv 1405.7511), Frobenius norm.
    """

    title, uses = "SVD (RMT)", "data-free"
    exactly_one = ("edge", *ByStrength.exactly_one)
    example = {"edge": 2.0}
    edge: float | None = Field(default=None, ge=0)

    def prepare(self, context: EditContext) -> Parts:
        """Return the singular value decomposition of every weight."""
        return {path: decomposed(context, path) for path in context.layers}

    def of_share(self, share: float) -> float:
        """Return the factor on the edge for ``share``: 0 for 1."""
        return math.sqrt(inverse_odds(share))

    def change(self, path: str, weight: Tensor, context: EditContext, prepared: Any) -> tuple[Tensor, LayerReport]:
        """Return W (p, q) with its singular values shrunk."""
        assert self.edge is not None
        u, s, vt = prepared[path]
        left = shrunk(s, max(weight.shape), self.edge * noise_level(s, max(weight.shape)))
        new = weight.clone() if torch.equal(left, s) else ((u * left) @ vt).to(weight.dtype)
        energy = float(left.square().sum() / s.square().sum()) if s.any() else 1.0
        return new, engine.replaced(weight, new, int((left > 0).sum()), len(s), energy)


def noise_level(values: Tensor, longer: int) -> float:
    """Return σ, the entry standard deviation of a noise matrix with the median singular value of ``values``.

    ``values`` (k,) are all singular values of a matrix k x ``longer`` or its transpose.
    """
    return float(values.quantile(0.5)) / math.sqrt(longer * bulk_median(len(values) / longer))


def shrunk(values: Tensor, longer: int, sigma: float) -> Tensor:
    """Return singular values (k,) of a matrix k x ``longer`` after removing the effect of noise of level ``sigma``.

    With β = k / longer and s in units of sigma √longer: sqrt((s² - (1+√β)²)(s² - (1-√β)²)) / s above the edge 1+√β,
    0 up to it.
    """
    if sigma == 0:
        return values.clone()
    beta = len(values) / longer
    squares = (values / (sigma * math.sqrt(longer))).square()  # (k,)
    above = squares - (1 + math.sqrt(beta)) ** 2
    gain = (above.clamp_min(0) * (squares - (1 - math.sqrt(beta)) ** 2)).sqrt() / squares.clamp_min(1)
    return values * gain


def bulk_median(beta: float) -> float:
    """Return the median of the Marchenko-Pastur law of ratio ``beta`` in (0, 1] and variance 1.

    This is the median of the squared singular values of noise k x n, divided by n, for large k = beta n.
    """
    from scipy.integrate import quad
    from scipy.optimize import brentq

    middle, half = 1 + beta, 2 * math.sqrt(beta)

    def below(angle: float) -> float:
        # substituting x = 1 + β - 2√β cos t makes the integrand smooth in t, also for β = 1
        share, _ = quad(lambda t: math.sin(t) ** 2 / (middle - half * math.cos(t)), 0, angle)
        return 2 / math.pi * share - 0.5

    # the integrand is at most 1, so the median is at least 0.1
    return middle - half * math.cos(brentq(below, 0.1, math.pi))
