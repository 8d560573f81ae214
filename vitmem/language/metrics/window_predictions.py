"""What a language model says of memorized windows and of held-out text, and which halves are measured."""

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
    """Suffixes recited (n, L) beside the real ones ``gold`` (n, L), behind each prefix and as long as its suffix.

    ``suffix`` are the tokens of ``gold`` predicted each from the real ones before it; where it is real there is a
    token of ``gold``, and its rows are measured. ``held_out`` is other text. Raises VitmemError when shapes differ.
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
        """Text that is not there to be recited, by what its metrics' names begin with."""
        return {"": self.held_out}

    def outcomes(self) -> dict[str, Tensor]:
        """Return which of the measured suffixes are recited, (k,) bool."""
        equal = (self.recited == self.gold) | ~self.suffix.real
        return {"memorized": equal[self.suffix.rows].all(1)}
