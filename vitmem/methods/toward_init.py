"""Control: on the line from the trained weights to the untrained ones, as far as WiSE goes between two networks."""

from __future__ import annotations

from vitmem.errors import InputError
from vitmem.kfac import weight_matrix
from vitmem.kfac.edit import replaced
from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.strength import Strength, applied


def toward_init(
    context: EditContext,
    *,
    factor: float | None = None,
    match_drop: float | None = None,
    match_loss: float | None = None,
) -> EditResult:
    """Return W0 + ``factor`` * (W - W0) for every W (p, q), W0 being it before training; one strength is given.

    The line is that of WiSE-FT (Wortsman et al. 2022), whose other end is a pretrained network. The report counts
    every weight as kept, and ‖W'‖²/‖W‖² as the energy. Raises InputError for a network that came trained, VitmemError
    naming the layer whose weight is not finite.
    """
    if context.initial is None:
        raise InputError("edit: 'toward_init' needs the network as it was before training, which is not known here")
    untrained = context.initial()

    def edit(strength: Strength) -> EditResult:
        value = strength.value(lambda share: share)
        result = EditResult()
        for path in context.layers:
            weight = context.weight(path)
            start = weight_matrix(untrained.get_submodule(path)).detach().to(weight.device)
            new = start.double().lerp(weight.double(), value).to(weight.dtype)
            energy = float((new.double().norm() / weight.double().norm()) ** 2)
            result.weights[path] = new
            result.reports[path] = replaced(weight, new, weight.numel(), weight.numel(), energy)
        return result

    return applied(Strength(own=factor, match_drop=match_drop, match_loss=match_loss), context, edit)
