"""Rows: one JSON object a line and a cell, sorted by id, keys sorted, numbers raw. No torch.

A file is replaced whole, so a reader sees the rows of before or of after, never half a row.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, NoReturn

from vitmem.errors import InputError, VitmemError

ROW_SCHEMA = 1
Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Return the rows of the file ``path`` in its order.

    Raises InputError, with the line's number, for a missing file, a line that is no JSON object, NaN or
    infinity, a row without an id or status, a row of another schema version and an id that comes twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file of rows; run the suite first ('vitmem run')") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not text in UTF-8; restore the file from git") from None
    rows: list[Row] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines if lines != [""] else [], start=1):
        row = _parse(line, f"{path}:{number}")
        if row["id"] in seen:
            raise InputError(f"{path}:{number}: id {row['id']} is on line {seen[row['id']]} too; delete one of them")
        seen[row["id"]] = number
        rows.append(row)
    return rows


def write_rows(path: Path, rows: Iterable[Row], drop: Collection[str] = ()) -> None:
    """Merge ``rows`` by id into the file ``path`` (made when missing), a new row replacing an old one.

    Old rows with an id in ``drop`` go. An old row of the same config under another id goes too: an entry's
    version was bumped since.
    The file is written under a temporary name, flushed to the disk and renamed. Raises InputError when
    the old file cannot be read, VitmemError when a new row holds NaN or infinity; both leave it as it was.
    """
    old = read_rows(path) if path.exists() else []
    merged = {row["id"]: row for row in old if row["id"] not in drop}
    for row in rows:
        _check(row, f"row {row.get('id')}")
        config = row.get("config")
        merged = {id: old for id, old in merged.items() if config is None or old.get("config") != config}
        merged[row["id"]] = row
    text = "".join(_line(merged[id]) + "\n" for id in sorted(merged))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _parse(line: str, where: str) -> Row:
    """Return the row on ``line``; raises InputError beginning with ``where``."""

    def refuse(name: str) -> NoReturn:
        raise InputError(f"{where}: {name} in a row; delete the line and run the suite again")

    try:
        row = json.loads(line, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where}: not a whole row ({error.msg}, column {error.colno}); delete the line and run again"
        ) from None
    if not isinstance(row, dict):
        raise InputError(f"{where}: expected a JSON object, got {type(row).__name__}; delete the line")
    _check(row, where)
    return row


def _check(row: Row, where: str) -> None:
    if row.get("schema") != ROW_SCHEMA:
        raise InputError(
            f"{where}: a row of schema {row.get('schema')}, this version reads schema {ROW_SCHEMA}; "
            "move the file away and run the suite again, or use the version that wrote it"
        )
    for key in ("id", "status"):
        if not isinstance(row.get(key), str):
            raise InputError(f"{where}: expected a text for '{key}', got {row.get(key)!r}; delete the line")


def _line(row: Row) -> str:
    try:
        return json.dumps(row, sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except ValueError:
        raise VitmemError(f"row {row['id']}: {_not_finite(row)} is not a finite number") from None


def _not_finite(value: Any, place: str = "") -> str | None:
    """Return the dotted place of the first NaN or infinity inside ``value``."""
    if isinstance(value, float):
        return None if math.isfinite(value) else place.removeprefix(".")
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return next((p for k, v in items if (p := _not_finite(v, f"{place}.{k}"))), None)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last through a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
