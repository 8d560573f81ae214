"""Passages that a language model may know by heart, controls from the same books, and text to compute on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vitmem.registry import DATA

if TYPE_CHECKING:
    from vitmem.language.data.passages import Passages


@DATA.register("passages", summary="passages that a model may know by heart, controls, and books", protocol="passages")
def passages(data_dir: Path | None, cache_dir: Path, *, folder: str = "text") -> Passages:
    """Read ``famous_passages.jsonl`` and ``corpus.parquet`` in ``<data_dir>/<folder>``.

    Raises InputError for a file that is missing, torn or without what it should have.
    """
    from vitmem.language.data.passages import read_passages, text_folder

    return read_passages(text_folder(data_dir, folder, "passages"))
