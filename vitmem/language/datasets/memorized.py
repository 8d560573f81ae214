"""A file of windows that a language model recites, and books for statistics and held-out text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from vitmem.contents import File, FilePath
from vitmem.registry import DATA

if TYPE_CHECKING:
    from vitmem.language.data.windows.source import Memorized


@DATA.register(
    "memorized",
    summary="windows of text that a model recites ('vitmem mine' finds them), or quotes, and books",
    protocol="windows",
)
def memorized(
    data_dir: Path | None,
    cache_dir: Path,
    *,
    file: FilePath,
    folder: str = "text",
    min_distinct: Annotated[int, Field(gt=0)] | None = None,
) -> Memorized:
    """Read ``file`` (relative to ``data_dir`` or absolute) and the books in ``<data_dir>/<folder>/corpus.parquet``.

    ``folder`` is a relative name, so that ids contain no machine path.
    ``min_distinct`` drops windows with fewer different tokens in the suffix. Raises InputError for a file that is
    missing, damaged or incomplete.
    """
    from vitmem.language.data.passages import read_corpus, text_folder
    from vitmem.language.data.windows.read import read_windows
    from vitmem.language.data.windows.source import Memorized

    root = text_folder(data_dir, folder, "memorized")
    lines = read_windows(File(path=file).place(data_dir))
    return Memorized(lines, read_corpus(root / "corpus.parquet", "memorized"), min_distinct)
