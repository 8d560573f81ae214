"""JSON lines: one object a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vitmem.errors import InputError, one_line
from vitmem.files import check_readable, short_name
from vitmem.parsing import parse_json


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield where each line stands (``file:number``) and the object on it; empty lines are passed over.

    Raises InputError when the file cannot be read, or for a line that is no JSON object.
    """
    check_readable(path, "a JSON object a line", "correct the path")
    try:
        with path.open(encoding="utf-8-sig") as handle:
            for number, line in enumerate(handle, 1):
                if line.strip():
                    yield f"{path}:{number}", _parse(line, f"{path}:{number}")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{short_name(path)}: expected a JSON object a line: {one_line(error)}") from None


def _parse(line: str, where: str) -> dict[str, Any]:
    row = parse_json(line, where, expected="a JSON object")
    if not isinstance(row, dict):
        raise InputError(f"{where}: expected a JSON object, got {type(row).__name__}")
    return row
