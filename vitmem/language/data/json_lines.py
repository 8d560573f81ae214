"""JSON lines: one object per line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vitmem.errors import InputError, one_line
from vitmem.files import check_readable, short_name
from vitmem.parsing import parse_json


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the location of each line (``file:number``) and its object; empty lines are skipped.

    Raises InputError when the file cannot be read, or for a line that is not a JSON object.
    """
    check_readable(path, "one JSON object per line", "correct the path")
    try:
        with path.open(encoding="utf-8-sig") as handle:
            for number, line in enumerate(handle, 1):
                if line.strip():
                    yield f"{path}:{number}", _parse(line, f"{path}:{number}")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{short_name(path)}: expected one JSON object per line: {one_line(error)}") from None


def _parse(line: str, where: str) -> dict[str, Any]:
    row = parse_json(line, where, expected="a JSON object")
    if not isinstance(row, dict):
        raise InputError(f"{where}: expected a JSON object, got {type(row).__name__}")
    return row
