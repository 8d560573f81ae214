"""EU-k (Goel et al. 2022): re-initialise the edited layers and train them on the retain set."""

from __future__ import annotations

from vitmem.edits.base import EditContext, EditResult
from vitmem.edits.finetune import OnRetainSet
from vitmem.registry import EDITS


@EDITS.register("eu_k")
class EuK(OnRetainSet):
    """Re-initialise the edited layers and train them on the retain set (EU-k).

    The weights W (p, q) of the given layers are re-initialised and trained as in ``finetune``. New weights are uniform
    within ±1/√inputs, as in a new linear layer; biases and norms of these blocks stay as trained.
    """

    title = "EU-k"

    def edit(self, context: EditContext) -> EditResult:
        """Train; raises InputError when the retain set is empty, VitmemError when training diverges."""
        trainer = self.trainer(context)
        trainer.reinitialise()
        return self.train(trainer)
