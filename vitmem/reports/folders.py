"""The folders of suites that have rows. No torch."""

from __future__ import annotations

from pathlib import Path

from vitmem.errors import InputError, unknown
from vitmem.files import subfolders


def suite_folders(results: Path, suite: str | None = None) -> list[Path]:
    """Return the folders in ``results`` that hold rows, or that of ``suite`` alone; hidden folders are no suites.

    Raises InputError when ``suite`` has no rows there, offering the nearest name.
    """
    folders = [f for f in subfolders(results) if (f / "rows.jsonl").exists()] if results.is_dir() else []
    if suite is None:
        return folders
    found = [folder for folder in folders if folder.name == suite]
    if not found:
        if not folders:
            raise InputError(f"{results}: no suite has rows here; run one first ('vitmem run')")
        raise unknown(f"suite in {results}", suite, [folder.name for folder in folders])
    return found
