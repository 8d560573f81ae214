"""Token-by-token predictions of passages and held-out text, and the measured halves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vitmem.language.metrics.token_hits import TokenHits
from vitmem.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

# Run length, in tokens, from which a passage counts as recited; ordinary text rarely reaches it.
RUN = 16


def longest_runs(hit: Tensor) -> Tensor:
    """Return the length of the longest run of true in each row, (n, T) bool give (n,) int64.

    The likeliest token is the real one at m consecutive positions if and only if greedy decoding from the preceding
    text gives these m tokens, so one pass replaces m decoding steps.
    """
    run = longest = torch.zeros(len(hit), dtype=torch.int64)
    for column in hit.T:
        run = (run + 1) * column
        longest = torch.maximum(longest, run)
    return longest


@dataclass(frozen=True)
class PassagePredictions:
    """Token hits by kind of text: ``famous`` and ``control`` passages, and ``held_out`` text of the same books."""

    protocol: ClassVar[str] = "passages"
    kinds: Mapping[str, TokenHits]

    @property
    def held_out(self) -> TokenHits:
        """The held-out text, with its likeliest tokens."""
        return self.kinds["held_out"]

    @property
    def clean(self) -> Mapping[str, TokenHits]:
        """Text that is not meant to be recited, by the prefix of its metrics' names."""
        return {"": self.held_out, "control_": self.kinds["control"]}

    def outcomes(self) -> dict[str, Tensor]:
        """Return which measured famous passages are recited, (k,) bool."""
        famous = self.kinds["famous"]
        return {"memorized": longest_runs((famous.hit & famous.real)[famous.rows]) >= RUN}
