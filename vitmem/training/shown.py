"""How far a training is, on a bar or in the log."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, Trainer

from vitmem.progress import Task
from vitmem.training.module import Learner


class ShowSteps(Callback):
    """Shows the steps of a training, those of earlier sittings included, as a task."""

    def __init__(self) -> None:
        self._task: Task | None = None

    def on_train_start(self, trainer: Trainer, pl_module: Learner) -> None:  # type: ignore[override]
        """Begin the task."""
        self._task = Task("training", pl_module.total_steps, "steps", done=trainer.global_step)
        self._task.__enter__()

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Count a step when the last part of its batch, the number of which is the last argument, is done."""
        if self._task is not None and (args[-1] + 1) % trainer.accumulate_grad_batches == 0:
            self._task.advance()

    def teardown(self, *_: Any, **__: Any) -> None:
        """End the task, whatever ended the training."""
        if self._task is not None:
            self._task.__exit__(None, None, None)
            self._task = None
