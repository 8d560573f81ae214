"""Early stopping as an oracle: the weights of the best epoch of a training that goes on to its end.

The classical answer to wrong labels, for they are learned late (Arpit et al. 2017).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lightning.pytorch import Callback, Trainer
from torch import Tensor

from vitmem.training.module import Learner


class KeepBest(Callback):
    """Keeps the weights after which ``measure()`` is largest, the first of equals; it is asked after every epoch.

    ``measured`` has what it gave by epoch, ``epoch`` counts from 1. Both and the weights go with the checkpoint, so
    that a resumed run knows of the epochs before.
    """

    def __init__(self, measure: Callable[[], float]) -> None:
        self.measure = measure
        self.measured: list[float] = []
        self.weights: dict[str, Tensor] = {}

    @property
    def epoch(self) -> int:
        """The best epoch."""
        return self.measured.index(max(self.measured)) + 1

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run goes on from."""
        return {"measured": self.measured, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from an earlier sitting."""
        self.measured, self.weights = list(state_dict["measured"]), dict(state_dict["weights"])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Learner) -> None:  # type: ignore[override]
        """Measure, and keep the weights if they are better than all before; of several devices the first one does."""
        if not trainer.is_global_zero:
            return
        with pl_module.measured():
            self.measured.append(self.measure())
            if self.epoch == len(self.measured):
                self.weights = {name: t.detach().cpu().clone() for name, t in pl_module.net.state_dict().items()}
