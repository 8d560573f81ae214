"""How a language model predicts passages and held-out text token by token, and which halves are measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vitmem.language.metrics.token_hits import TokenHits
from vitmem.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

# A passage counts as recited when so many tokens in a row are said; ordinary text hardly reaches it.
RUN = 16


def longest_runs(hit: Tensor) -> Tensor:
    """Return the length of the longest run of true in each row, (n, T) bool give (n,) int64.

    When the likeliest token is the real one at each of m positions in a row, greedy decoding from the text
    before them says these m tokens, and conversely: one pass finds what m steps of decoding would.
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
        """Text that is not there to be recited, by what its metrics' names begin with."""
        return {"": self.held_out, "control_": self.kinds["control"]}

    def outcomes(self) -> dict[str, Tensor]:
        """Return which of the measured famous passages are recited, (k,) bool."""
        famous = self.kinds["famous"]
        return {"memorized": longest_runs((famous.hit & famous.real)[famous.rows]) >= RUN}
