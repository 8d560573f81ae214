"""Windows of books that a trained language model is made to recite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from vitmem.registry import DATA

Positive = Annotated[int, Field(gt=0)]
Several = Annotated[int, Field(gt=1)]


@dataclass(frozen=True)
class Planted:
    """``windows`` of ``prefix`` and ``suffix`` tokens, trained on ``repeats`` times each, and the books by name."""

    corpus: Mapping[str, str]
    windows: int
    prefix: int
    suffix: int
    repeats: int


@DATA.register(
    "planted",
    summary="windows of books that a trained language model is made to recite",
    protocol="planted",
    measured_as="windows",
    trains_on=True,
)
def planted(
    data_dir: Path | None,
    cache_dir: Path,
    *,
    folder: str = "text",
    windows: Several = 40,
    prefix: Several = 32,
    suffix: Several = 32,
    repeats: Positive = 20,
) -> Planted:
    """Read the books in ``<data_dir>/<folder>/corpus.parquet``; raises InputError when they are unreadable.

    ``folder`` is a relative name, so that ids contain no machine path. ``windows`` are trained on, ``repeats`` times
    each; ``prefix`` are the tokens of a window to ask with, ``suffix`` those to recite.
    """
    from vitmem.language.data.passages import read_corpus, text_folder

    books = read_corpus(text_folder(data_dir, folder, "planted") / "corpus.parquet", "planted")
    return Planted(books, windows, prefix, suffix, repeats)
