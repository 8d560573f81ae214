"""Control: interpolate from the trained weights towards the untrained ones, as WiSE does between two networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vitmem import kfac as engine
from vitmem.edits.base import ByStrength, EditContext, Share
from vitmem.errors import InputError
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vitmem.kfac import LayerReport


@EDITS.register("toward_init")
class TowardInit(ByStrength):
    """Control: back toward the weights before training (WiSE's line).

    W0 + ``factor`` * (W - W0) for every W (p, q), W0 the weight before training. WiSE-FT (Wortsman et al. 2022)
    interpolates towards a pretrained network. The report counts every weight as kept and gives ‖W'‖²/‖W‖² as the
    energy.
    """

    title, role, uses = "toward init", "control", "data-free"
    exactly_one = ("factor", *ByStrength.exactly_one)
    example = {"factor": 0.5}
    factor: Share = None

    def prepare(self, context: EditContext) -> nn.Module:
        """Return the untrained network; raises InputError for a pretrained network."""
        if context.initial is None:
            raise InputError("edit: 'toward_init' needs the network as it was before training, which is not known here")
        return context.initial()

    def change(self, path: str, weight: Tensor, context: EditContext, prepared: Any) -> tuple[Tensor, LayerReport]:
        """Return the interpolated W (p, q)."""
        assert self.factor is not None
        start = engine.weight_matrix(prepared.get_submodule(path)).detach().to(weight.device)
        new = start.double().lerp(weight.double(), self.factor).to(weight.dtype)
        energy = float((new.double().norm() / weight.double().norm()) ** 2)
        return new, engine.replaced(weight, new, weight.numel(), weight.numel(), energy)
