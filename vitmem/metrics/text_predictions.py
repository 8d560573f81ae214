"""What a language model says of its strings, questions and held-out text, and which halves are measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from vitmem.errors import VitmemError


@dataclass(frozen=True)
class TextPredictions:
    """Strings recited (m, L) beside the real ones ``gold`` (m, L), of which ``strings`` (k,) are measured.

    ``right`` gives, by family, whether each question was answered, (n,) bool, and ``exposure`` (n,) how often
    it was trained on. ``hit`` (V, T) bool and ``loss`` (V, T) nats are the next tokens of held-out rows, where
    they are ``real`` (V, T) and no padding; ``rows`` (r,) of them are measured. Raises VitmemError when a loss
    is not finite or lengths differ.
    """

    modality: ClassVar[str] = "text"
    recited: Tensor
    gold: Tensor
    strings: Tensor
    right: Mapping[str, Tensor]
    exposure: Mapping[str, Tensor]
    hit: Tensor
    loss: Tensor
    real: Tensor
    rows: Tensor

    def __post_init__(self) -> None:
        """Check lengths and numbers."""
        if self.recited.shape != self.gold.shape or self.hit.shape != self.loss.shape:
            raise VitmemError(
                f"text predictions: recited {tuple(self.recited.shape)} of {tuple(self.gold.shape)} tokens, "
                f"hits {tuple(self.hit.shape)} of {tuple(self.loss.shape)}"
            )
        if not bool(self.loss.isfinite().all()):
            raise VitmemError("losses hold NaN or infinity: the model or the edit is broken")
