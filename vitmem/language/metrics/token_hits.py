"""Token-by-token predictions of rows of text, and the measured rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from vitmem.errors import VitmemError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TokenHits:
    """For n texts padded to T predicted tokens: ``hit`` (n, T) bool, whether the likeliest token is the real one,
    ``loss`` (n, T) nats, ``real`` (n, T) bool, the mask of tokens; ``rows`` (k,) are measured.

    ``said`` (n, T) is the likeliest token, ``top`` (n, T, K) the K likeliest in descending order, if stored. Raises
    VitmemError when shapes differ or a loss is not finite.
    """

    hit: Tensor
    loss: Tensor
    real: Tensor
    rows: Tensor
    said: Tensor
    top: Tensor | None = None

    def __post_init__(self) -> None:
        """Check lengths and numbers."""
        tensors = [self.hit, self.loss, self.real, self.said] + ([] if self.top is None else [self.top[..., 0]])
        if len({t.shape for t in tensors}) > 1:
            raise VitmemError(f"token hits: expected equal shapes, got {[tuple(t.shape) for t in tensors]}")
        if not bool(self.loss[self.real].isfinite().all()):
            raise VitmemError("losses contain NaN or infinity: the model or the edit is broken")

    def measured(self, values: Tensor) -> Tensor:
        """Return ``values`` (n, T, ...) at the m real positions of the measured rows, (m, ...)."""
        return values[self.rows][self.real[self.rows]]


class ReadsText(Protocol):
    """Predictions that include text not meant to be recited."""

    @property
    def held_out(self) -> TokenHits:
        """The held-out text, with its likeliest tokens."""
        ...

    @property
    def clean(self) -> Mapping[str, TokenHits]:
        """Such text by the prefix of its metrics' names."""
        ...
