"""Predictions of strings, questions and held-out text, and the measured halves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vitmem.errors import VitmemError
from vitmem.language.metrics.token_hits import TokenHits

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TextPredictions:
    """Recited strings (m, L) and the real ones ``gold`` (m, L), of which ``strings`` (k,) are measured.

    ``suffix_hit`` (m, L) bool and ``suffix_loss`` (m, L) nats are for the tokens of ``gold`` predicted from the real
    ones before them; ``perturbed`` (m,) int64 is the number of tokens recited from the best of several prompts, -1 for
    a string without such prompts. ``right`` has, by family, whether each question was answered correctly, (n,) bool,
    and ``exposure`` (n,) its number of occurrences in training. ``held_out`` are the next tokens of held-out rows.
    Raises VitmemError when a loss is not finite or lengths differ.
    """

    protocol: ClassVar[str] = "text"
    recited: Tensor
    gold: Tensor
    strings: Tensor
    suffix_hit: Tensor
    suffix_loss: Tensor
    perturbed: Tensor
    right: Mapping[str, Tensor]
    exposure: Mapping[str, Tensor]
    held_out: TokenHits

    def __post_init__(self) -> None:
        """Check lengths and numbers."""
        shapes = [tuple(t.shape) for t in (self.recited, self.suffix_hit, self.suffix_loss)]
        if {*shapes} != {tuple(self.gold.shape)} or len(self.perturbed) != len(self.gold):
            raise VitmemError(
                f"text predictions: expected {tuple(self.gold.shape)} tokens recited, hits and losses and one "
                f"prefix per string, got {shapes} and {len(self.perturbed)}"
            )
        if not bool(self.suffix_loss.isfinite().all()):
            raise VitmemError("losses contain NaN or infinity: the model or the edit is broken")

    @property
    def clean(self) -> Mapping[str, TokenHits]:
        """Text that is not meant to be recited, by the prefix of its metrics' names."""
        return {"": self.held_out}

    def outcomes(self) -> dict[str, Tensor]:
        """Return which measured strings are recited, (k,) bool."""
        return {"memorized": (self.recited == self.gold)[self.strings].all(1)}
