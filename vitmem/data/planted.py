"""The data ``planted``: how many windows of books a trained language model is made to recite, and the books."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vitmem.data.passages import read_corpus
from vitmem.errors import InputError
from vitmem.files import expand

NAME = "planted"


@dataclass(frozen=True)
class Planted:
    """``windows`` of ``prefix`` and ``suffix`` tokens, told ``repeats`` times each, and the books by name."""

    corpus: Mapping[str, str]
    windows: int
    prefix: int
    suffix: int
    repeats: int


def planted(
    data_dir: Path | None,
    cache_dir: Path,
    *,
    folder: str = "text",
    windows: int = 40,
    prefix: int = 32,
    suffix: int = 32,
    repeats: int = 20,
) -> Planted:
    """Read the books in ``<data_dir>/<folder>/corpus.parquet``; raises InputError when they cannot be."""
    if data_dir is None:
        raise InputError(f"data '{NAME}': expected --data-dir, the folder that '{folder}' lies in, got none")
    return Planted(read_corpus(data_dir / expand(folder) / "corpus.parquet", NAME), windows, prefix, suffix, repeats)
