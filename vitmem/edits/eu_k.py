"""EU-k (Goel et al. 2022): the edited layers start anew and are trained on the retain set."""

from __future__ import annotations

from vitmem.edits.base import EditContext, EditResult
from vitmem.edits.finetune import OnRetainSet
from vitmem.registry import EDITS


@EDITS.register("eu_k")
class EuK(OnRetainSet):
    """Re-initialise the edited layers and train them on the retain set (EU-k).

    The weights W (p, q) of the given layers are drawn anew and trained as ``finetune`` does. A new weight is uniform
    within one over the root of its inputs, as that of a new linear layer; biases and norms of these blocks stay as they
    were trained.
    """

    title = "EU-k"

    def edit(self, context: EditContext) -> EditResult:
        """Train; raises InputError when there is nothing to keep, VitmemError when it diverges."""
        trainer = self.trainer(context)
        trainer.reinitialise()
        return self.train(trainer)
