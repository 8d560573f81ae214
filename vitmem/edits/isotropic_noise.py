"""Control: Gaussian noise of the same size as an edit, in a random direction."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vitmem import kfac as engine
from vitmem.edits.base import ByStrength, EditContext, inverse_odds
from vitmem.lazy import torch
from vitmem.registry import EDITS
from vitmem.specs import seed_from

if TYPE_CHECKING:
    from torch import Tensor

    from vitmem.kfac import LayerReport


@EDITS.register("isotropic_noise")
class IsotropicNoise(ByStrength):
    """Control: Gaussian noise of a given norm in each matrix.

    ‖ΔW‖ = ``relative_norm`` * ‖W‖ (Frobenius) for every W (p, q), drawn with the edit's seed. It is a control for
    another edit of the same ``relative_change``. The direction is the same at every strength; to match a loss, relative
    norms from 0.01 to 100 are searched. The report counts every weight as kept and gives ‖W'‖²/‖W‖² as the energy.
    """

    title, role, uses = "isotropic noise", "control", "data-free"
    exactly_one = ("relative_norm", *ByStrength.exactly_one)
    example = {"relative_norm": 0.5}
    relative_norm: float | None = Field(default=None, ge=0)

    def of_share(self, share: float) -> float:
        """Return the relative norm for ``share``: 0 for 1."""
        return math.sqrt(inverse_odds(share))

    def change(self, path: str, weight: Tensor, context: EditContext, prepared: Any) -> tuple[Tensor, LayerReport]:
        """Return W (p, q) with noise."""
        assert self.relative_norm is not None
        generator = torch.Generator().manual_seed(seed_from(context.seed, path))
        noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64).to(weight.device)
        old = weight.double()
        new = (old + noise * (self.relative_norm * old.norm() / noise.norm())).to(weight.dtype)
        energy = float(new.double().square().sum() / old.square().sum()) if weight.any() else 1.0
        return new, engine.replaced(weight, new, weight.numel(), weight.numel(), energy)
