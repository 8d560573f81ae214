"""Predictions of memorized windows and of held-out text, and the measured halves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vitmem.errors import VitmemError
from vitmem.language.metrics.token_hits import TokenHits

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class WindowPredictions:
    """Recited suffixes (n, L) and the real ones ``gold`` (n, L), decoded after each prefix to the suffix's length.

    ``suffix`` are the tokens of ``gold``, each predicted from the real ones before it; its mask ``real`` is that of
    ``gold``, and its rows are measured. ``held_out`` is other text. Raises VitmemError when shapes differ.
    """

    protocol: ClassVar[str] = "windows"
    recited: Tensor
    gold: Tensor
    suffix: TokenHits
    held_out: TokenHits

    def __post_init__(self) -> None:
        """Check lengths."""
        shapes = [tuple(t.shape) for t in (self.gold, self.recited, self.suffix.hit)]
        if len({*shapes}) > 1:
            raise VitmemError(f"window predictions: expected equal shapes, got {shapes}")

    @property
    def clean(self) -> Mapping[str, TokenHits]:
        """Text that is not meant to be recited, by the prefix of its metrics' names."""
        return {"": self.held_out}

    def outcomes(self) -> dict[str, Tensor]:
        """Return which measured suffixes are recited, (k,) bool."""
        equal = (self.recited == self.gold) | ~self.suffix.real
        return {"memorized": equal[self.suffix.rows].all(1)}
