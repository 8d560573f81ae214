"""The data ``memorized``: the lines of a file of windows, and books for statistics and held-out text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vitmem.errors import InputError
from vitmem.language.data.windows.distinct import distinct, various
from vitmem.language.data.windows.read import Line
from vitmem.language.data.windows.tokens import Windows, tokenised

NAME = "memorized"


@dataclass(frozen=True)
class Memorized:
    """The untokenised lines of a file of windows, and the books by name."""

    lines: tuple[Line, ...]
    corpus: Mapping[str, str]
    min_distinct: int | None = None

    def windows(self, tokenizer: Any, vocabulary: int) -> Windows:
        """Return the windows as tokens, without near-duplicates and those with too few different tokens.

        Raises InputError as ``tokenised`` does, and when fewer than two remain.
        """
        windows = tokenised(self.lines, tokenizer, vocabulary)
        if self.min_distinct is not None:
            windows = windows.take(various(windows, self.min_distinct))
        windows = windows.take(distinct(windows))
        if len(windows) < 2:
            raise InputError(
                f"data '{NAME}': expected two windows or more that are kept of {len(self.lines)} lines, got "
                f"{len(windows)}; the others are near-duplicates or have fewer different tokens than 'min_distinct'"
            )
        return windows
