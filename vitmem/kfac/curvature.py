"""How large the gradient of an example is, and how much curvature all examples together have along it.

"From Memorization to Reasoning in the Spectrum of Loss Curvature" (arXiv 2510.24256): what is memorized alone is sharp
for the example itself, and flat on average over the others.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vitmem.kfac.factors import LayerFactors
from vitmem.kfac.moments import LayerMoments

TINY = torch.finfo(torch.float64).tiny


class Sharpness(LayerMoments):
    """Squares of the gradients of single examples in one layer of known factors; a batch has to be one example.

    The gradient of W is the sum of g_t a_tᵀ (p, q) over the positions t of the example and is never made.
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
        """Add the example whose rows are a (n, q) and g (n, p).

        ``own`` gets ‖∇W‖², which is the trace of its own Fisher block, ``along`` the curvature ∇Wᵀ (G ⊗ A) ∇W / ‖∇W‖²
        of all examples in this direction, as a multiple of the mean over all directions, tr A tr G / (p q).
        """
        a, g = a.double().cpu(), g.double().cpu()
        own = float(((a @ a.T) * (g @ g.T)).sum())
        seen = float(((a @ self.a_factor @ a.T) * (g @ self.g_factor @ g.T)).sum())
        self.own.append(own)
        self.along.append(seen / max(own * self.mean_curvature, TINY))
