"""What the engine has to know of a family of models: losses, labels, and which positions count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn


class Task(Protocol):
    """A batch is whatever the task takes; the engine only hands it on. N losses, d features, K classes.

    A model is split in two, ``logits(model, features(model, batch))``, so that a head with many classes can
    be applied to a few rows at a time. A task without such a head returns the logits as its features.
    """

    def features(self, model: nn.Module, batch: Any) -> Tensor:
        """Return what the head reads, (N, d), one row for each term of the summed loss."""
        ...

    def logits(self, model: nn.Module, features: Tensor) -> Tensor:
        """Return the logits (n, K) of some rows (n, d) of the features; each row's depend on that row alone."""
        ...

    def given(self, batch: Any) -> Tensor:
        """Return the given label of each term, (N,) int64; -100 has no loss."""
        ...

    def rows(self, activation: Tensor, batch: Any) -> Tensor:
        """Return the positions that count of a layer's input or output (B, ..., f), as (n, f)."""
        ...


@dataclass(frozen=True)
class Tempered:
    """``task`` of the network whose logits are divided by ``temperature`` (Guo et al. 2017, arXiv 1706.04599).

    Above 1 the labels that are drawn from them are less often the likeliest ones, so that gradients do not vanish
    where the network is sure.
    """

    task: Task
    temperature: float

    def features(self, model: nn.Module, batch: Any) -> Tensor:
        """Return what the head reads, (N, d)."""
        return self.task.features(model, batch)

    def logits(self, model: nn.Module, features: Tensor) -> Tensor:
        """Return the divided logits (n, K) of some rows (n, d) of the features."""
        return self.task.logits(model, features) / self.temperature

    def given(self, batch: Any) -> Tensor:
        """Return the given label of each term, (N,) int64."""
        return self.task.given(batch)

    def rows(self, activation: Tensor, batch: Any) -> Tensor:
        """Return the positions that count of a layer's input or output (B, ..., f), as (n, f)."""
        return self.task.rows(activation, batch)
