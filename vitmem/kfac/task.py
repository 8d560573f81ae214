"""What the engine has to know of a family of models: logits, labels, and which positions count."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn


class Task(Protocol):
    """A batch is whatever the task takes; the engine only hands it on. N losses, K classes."""

    def logits(self, model: nn.Module, batch: Any) -> Tensor:
        """Return the logits (N, K), one row for each term of the summed loss."""
        ...

    def given(self, batch: Any) -> Tensor:
        """Return the given label of each term, (N,) int64; -100 has no loss."""
        ...

    def rows(self, activation: Tensor) -> Tensor:
        """Return the positions that count of a layer's input or output (B, ..., f), as (n, f)."""
        ...
