"""Passages that a language model may have memorized, controls from the same books, and text for statistics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vitmem.registry import DATA

if TYPE_CHECKING:
    from vitmem.language.data.passages import Passages


@DATA.register("passages", summary="passages that a model may have memorized, controls, and books", protocol="passages")
def passages(data_dir: Path | None, cache_dir: Path, *, folder: str = "text") -> Passages:
    """Read ``famous_passages.jsonl`` and ``corpus.parquet`` in ``<data_dir>/<folder>``.

    ``folder`` is a relative name, so that ids contain no machine path.
    Raises InputError for a file that is missing, damaged or incomplete.
    """
    from vitmem.language.data.passages import read_passages, text_folder

    return read_passages(text_folder(data_dir, folder, "passages"))
