"""The squared gradient norm of single examples, and the average curvature along their gradients.

"From Memorization to Reasoning in the Spectrum of Loss Curvature" (arXiv 2510.24256): memorized examples lie in
directions that are sharp for the example itself and flat on average over the others.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vitmem.kfac.factors import LayerFactors
from vitmem.kfac.moments import LayerMoments

TINY = torch.finfo(torch.float64).tiny


class Sharpness(LayerMoments):
    """Squared gradient norms of single examples in one layer with known factors; a batch must be one example.

    The gradient of W, the sum of g_t a_tᵀ (p, q) over the positions t of the example, is never materialised.
    """

    def __init__(self, path: str, factors: LayerFactors) -> None:
        super().__init__(path, "plain")
        self.a_factor, self.g_factor = factors.a, factors.g
        p, q = len(factors.g), len(factors.a)
        self.mean_curvature = float(factors.a.trace() * factors.g.trace()) / (p * q)
        self.own: list[float] = []
        self.along: list[float] = []

    def add_inputs(self, rows: Tensor, product: Tensor | None = None) -> None:
        """Count the rows a (n, q)."""
        self.count += len(rows)

    def add_gradients(self, a: Tensor, g: Tensor) -> None:
        """Add the example with rows a (n, q) and g (n, p).

        ``own`` gets ‖∇W‖², the trace of the example's own Fisher block; ``along`` the curvature
        ∇Wᵀ (G ⊗ A) ∇W / ‖∇W‖² of all examples in this direction, relative to the mean over all directions,
        tr A tr G / (p q).
        """
        a, g = a.double().cpu(), g.double().cpu()
        own = float(((a @ a.T) * (g @ g.T)).sum())
        seen = float(((a @ self.a_factor @ a.T) * (g @ self.g_factor @ g.T)).sum())
        self.own.append(own)
        self.along.append(seen / max(own * self.mean_curvature, TINY))
