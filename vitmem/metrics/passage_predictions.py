"""How a language model predicts passages and held-out text token by token, and which halves are measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from vitmem.metrics.token_hits import TokenHits


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
