"""EU-k (Goel et al. 2022): the edited layers start anew and are trained on what is to be kept."""

from __future__ import annotations

from vitmem.methods.base import EditContext, EditResult
from vitmem.methods.descent import Descent
from vitmem.methods.finetune import train_on_kept
from vitmem.methods.told import told


def eu_k(context: EditContext, *, steps: int = 1000, lr: float = 0.025, batch_size: int = 512) -> EditResult:
    """Draw the weights W (p, q) of the given layers anew and train them as ``finetune`` does.

    A new weight is uniform within one over the root of its inputs, as that of a new linear layer; biases and norms of
    these blocks stay as they were trained. Raises InputError when there is nothing to keep, VitmemError when it
    diverges.
    """
    descent = Descent(context, "eu_k", told(context, "eu_k", keep_alone=True), lr=lr)
    descent.start_anew()
    train_on_kept(descent, steps, lr, batch_size)
    return descent.result()
