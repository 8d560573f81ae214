"""The data ``memorized``: a file of windows, and books for statistics and held-out text."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitmem.data.passages import read_corpus
from vitmem.data.windows.distinct import distinct, various
from vitmem.data.windows.read import Line, read_windows
from vitmem.data.windows.tokens import Windows, tokenised
from vitmem.errors import InputError
from vitmem.files import expand

NAME = "memorized"


@dataclass(frozen=True)
class Memorized:
    """The lines of a file of windows, not yet tokens, and the books by name."""

    lines: tuple[Line, ...]
    corpus: Mapping[str, str]
    min_distinct: int | None = None

    def windows(self, tokenizer: Any, vocabulary: int) -> Windows:
        """Return the windows as tokens, without near-duplicates and those of too few different tokens.

        Raises InputError as ``tokenised`` does, and when fewer than two are left.
        """
        found = tokenised(self.lines, tokenizer, vocabulary)
        if self.min_distinct is not None:
            found = found.take(various(found, self.min_distinct))
        found = found.take(distinct(found))
        if len(found) < 2:
            raise InputError(
                f"data '{NAME}': expected two windows or more that are kept of {len(self.lines)} lines, got "
                f"{len(found)}; the others are near-duplicates or have fewer different tokens than 'min_distinct'"
            )
        return found


def memorized(
    data_dir: Path | None, cache_dir: Path, *, file: str, folder: str = "text", min_distinct: int | None = None
) -> Memorized:
    """Read ``file`` (inside ``data_dir`` or anywhere) and the books in ``<data_dir>/<folder>/corpus.parquet``.

    ``min_distinct`` drops windows of fewer different tokens in the suffix. Raises InputError for a file that is
    missing, torn or without what it should have.
    """
    if data_dir is None:
        raise InputError(f"data '{NAME}': expected --data-dir, the folder that '{folder}' lies in, got none")
    inside = data_dir / expand(file)
    lines = read_windows(inside if os.path.exists(inside) else expand(file))
    return Memorized(lines, read_corpus(data_dir / expand(folder) / "corpus.parquet", NAME), min_distinct)
