"""How a language model predicts passages and held-out text token by token, and which halves are measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from vitmem.errors import VitmemError


@dataclass(frozen=True)
class TokenHits:
    """For n texts padded to T predicted tokens: ``hit`` (n, T) bool whether the likeliest token is the real one,
    ``loss`` (n, T) nats, ``real`` (n, T) bool where there is a token at all; ``rows`` (k,) are measured.
    """

    hit: Tensor
    loss: Tensor
    real: Tensor
    rows: Tensor

    def __post_init__(self) -> None:
        """Check lengths and numbers."""
        if not self.hit.shape == self.loss.shape == self.real.shape:
            shapes = [tuple(t.shape) for t in (self.hit, self.loss, self.real)]
            raise VitmemError(f"token hits: expected equal shapes, got {shapes}")
        if not bool(self.loss[self.real].isfinite().all()):
            raise VitmemError("losses hold NaN or infinity: the model or the edit is broken")

    def measured(self, values: Tensor) -> Tensor:
        """Return ``values`` (n, T, ...) at the m real positions of the measured rows, (m, ...)."""
        return values[self.rows][self.real[self.rows]]


@dataclass(frozen=True)
class PassagePredictions:
    """Token hits by kind of text: ``famous`` and ``control`` passages, and ``held_out`` text of the same books."""

    modality: ClassVar[str] = "passages"
    kinds: Mapping[str, TokenHits]
