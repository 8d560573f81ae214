"""The time of a few training steps, to estimate that of a whole training."""

from __future__ import annotations

import time
from itertools import pairwise
from statistics import median
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from vitmem.training.module import Learner


class Enough(Exception):
    """Ends a training whose steps are measured."""


class Pace(Callback):
    """Ends a training by ``Enough`` after ``steps`` steps and a first one, which warms up.

    A training that is shorter ends by itself. ``total_steps`` are those of the whole training.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.total_steps = 0
        self._ends: list[float] = []

    @property
    def seconds(self) -> float | None:
        """The median time of a step in seconds; ``None`` for a training of one step."""
        return median(end - begin for begin, end in pairwise(self._ends)) if len(self._ends) > 1 else None

    def on_train_batch_end(self, trainer: Trainer, pl_module: Learner, *_: Any) -> None:  # type: ignore[override]
        """Note the time; raises Enough after the last step to measure."""
        if trainer.global_step == len(self._ends):  # a part of an accumulated batch
            return
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize(pl_module.device)
        self._ends.append(time.perf_counter())
        self.total_steps = pl_module.total_steps
        if len(self._ends) > self.steps:
            raise Enough
