"""Control: Gaussian noise of the same size as an edit, with no direction of its own."""

from __future__ import annotations

import math

import torch

from vitmem.kfac.edit import replaced
from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.strength import Strength, applied, odds_against
from vitmem.specs import seed_from


def isotropic_noise(
    context: EditContext,
    *,
    relative_norm: float | None = None,
    match_drop: float | None = None,
    match_loss: float | None = None,
) -> EditResult:
    """Add noise of ‖ΔW‖ = ``relative_norm`` * ‖W‖ (Frobenius) to every W (p, q), drawn from the context's seed.

    Another edit of the same ``relative_change`` is what it is a control for. The direction of the noise is the same at
    every strength; to match something, relative norms from 0.01 to 100 are searched. Exactly one strength is given.
    The report counts every weight as kept, and ‖W'‖²/‖W‖² as the energy. Raises VitmemError naming the layer whose
    weight is not finite.
    """

    def edit(strength: Strength) -> EditResult:
        relative = strength.value(lambda share: math.sqrt(odds_against(share)))
        result = EditResult()
        for path in context.layers:
            weight = context.weight(path)
            generator = torch.Generator().manual_seed(seed_from(context.seed, path))
            noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64).to(weight.device)
            old = weight.double()
            new = (old + noise * (relative * old.norm() / noise.norm())).to(weight.dtype)
            energy = float(new.double().square().sum() / old.square().sum()) if weight.any() else 1.0
            result.weights[path] = new
            result.reports[path] = replaced(weight, new, weight.numel(), weight.numel(), energy)
        return result

    return applied(Strength(own=relative_norm, match_drop=match_drop, match_loss=match_loss), context, edit)
