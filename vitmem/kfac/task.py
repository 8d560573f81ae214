"""Interface of a model family to the engine: losses, labels, and the counted positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn


class Task(Protocol):
    """A model family. A batch is opaque to the engine. N losses, d features, K classes.

    A model is split in two, ``logits(model, features(model, batch))``, so that a head with many classes can be applied
    to a few rows at a time. A task without such a head returns the logits as its features.
    """

    def features(self, model: nn.Module, batch: Any) -> Tensor:
        """Return the input of the head, (N, d), one row for each term of the summed loss."""
        ...

    def logits(self, model: nn.Module, features: Tensor) -> Tensor:
        """Return the logits (n, K) of some rows (n, d) of the features, each depending on its own row only."""
        ...

    def given(self, batch: Any) -> Tensor:
        """Return the given label of each term, (N,) int64; -100 has no loss."""
        ...

    def rows(self, activation: Tensor, batch: Any) -> Tensor:
        """Return the counted positions of a layer's input or output (B, ..., f), as (n, f)."""
        ...


@dataclass(frozen=True)
class Tempered:
    """``task`` with the logits divided by ``temperature`` (Guo et al. 2017, arXiv 1706.04599).

    Above 1 sampled labels are less often the likeliest ones, so gradients do not vanish for a confident network.
    """

    task: Task
    temperature: float

    def features(self, model: nn.Module, batch: Any) -> Tensor:
        """Return the input of the head, (N, d)."""
        return self.task.features(model, batch)

    def logits(self, model: nn.Module, features: Tensor) -> Tensor:
        """Return the divided logits (n, K) of some rows (n, d) of the features."""
        return self.task.logits(model, features) / self.temperature

    def given(self, batch: Any) -> Tensor:
        """Return the given label of each term, (N,) int64."""
        return self.task.given(batch)

    def rows(self, activation: Tensor, batch: Any) -> Tensor:
        """Return the counted positions of a layer's input or output (B, ..., f), as (n, f)."""
        return self.task.rows(activation, batch)
