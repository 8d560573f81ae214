"""Rows: one JSON object a line and a cell, sorted by id, keys sorted, numbers raw, a digest last. No torch.

``rows.jsonl`` is replaced whole, so a reader sees the rows of before or of after, never half a row. Rows of a run that
goes on are appended to other files, where only the last line can be half a row.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import Any, cast

from pydantic_core import from_json

from vitmem.errors import InputError, VitmemError
from vitmem.files import flush, readable, short_name, write_whole
from vitmem.parsing import parse_json
from vitmem.row_schema import ROW_SCHEMA, Row, fault

log = logging.getLogger(__name__)

__all__ = ["ROW_SCHEMA", "Belongs", "Row", "append_row", "appended_rows", "read_rows", "write_rows"]

# Whether the config of a row belongs to its id.
Belongs = Callable[[Row], bool]
# Lines that are parsed at a time: their keys are the same texts in memory.
CHUNK = 256
WHOLE = {int, str}
# The end of a line that has a digest: ,"digest":"0123456789abcdef"}
DIGEST, DIGITS = ',"digest":"', 16
# What a line ends with that was written before rows had digests: anything else is a digest under a damaged name.
LAST_KEYS = ("suite", "views")
MEND = "delete the line and run the suite again"


def read_rows(path: Path, belongs: Belongs | None = None) -> list[Row]:
    """Return the rows of the file ``path``, in its order: by id.

    ``belongs`` is asked of rows without a digest: whether their config belongs to their id. Raises InputError, with the
    line's number, for a missing file, a line that is no whole row of this schema or is not as it was written, and an id
    that comes twice.
    """
    return [row for _, row in _lines(path, belongs)]


def write_rows(path: Path, rows: Iterable[Row], drop: Collection[str] = ()) -> None:
    """Merge ``rows`` by id into the file ``path`` (made when missing), a new row replacing an old one.

    Old rows with an id in ``drop`` go. An old row of the same config under another id goes too: an entry's version was
    bumped since. A row that failed replaces none that did not. Lines of other rows stay as they are. Raises InputError
    when the old file cannot be read, VitmemError when a new row holds NaN or infinity or lacks what readers need; both
    leave it as it was.
    """
    merged = _Merged()
    if path.exists():
        for line, row in _lines(path):
            if row["id"] not in drop:
                merged.put(row, line)
    for row in rows:
        merged.put(row, _line(row))
    content = "".join(f"{line}\n" for line in merged.values()).encode()
    del merged

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_whole(path, write)


def append_row(path: Path, row: Row) -> None:
    """Add ``row`` at the end of the file ``path``, made when missing; it is on the disk when this returns.

    Half a row at the end, left by a process that was killed while it wrote, is cut off. Raises VitmemError as
    ``write_rows`` does. The caller holds a lock where others may append.
    """
    data, new = f"{_line(row)}\n".encode(), not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+", buffering=0) as file:
        before = _whole_lines(file)
        try:
            left = memoryview(data)
            while left:  # a disk that is full takes a part, and says so at the rest
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(before)
            raise
    if new:
        flush(path.parent)


def appended_rows(path: Path) -> list[Row]:
    """Return the rows that ``append_row`` wrote to ``path``, in their order; none where there is no file.

    Half a row at the end is left out, with a warning. An id may come several times, the newest row last. Raises
    InputError for a damaged line.
    """
    if not path.exists():
        return []
    with readable(path, "rows"), path.open("rb") as file:
        lines = list(file)
    if lines and not lines[-1].endswith(b"\n"):
        log.warning(f"{path}:{len(lines)}: half a row, left by a process that was killed; its cell is measured again")
        lines.pop()
    return [row for _, row in _parsed(lines, path, 0, None)]


def _whole_lines(file: FileIO) -> int:
    """Return the size of ``file``, cut after its last whole line."""
    size = file.seek(0, os.SEEK_END)
    if size:
        file.seek(size - 1)
        if file.read(1) != b"\n":
            file.seek(0)
            size = file.truncate(file.read().rfind(b"\n") + 1)
    return size


@dataclass
class _Merged:
    """Lines of rows by id, the last one of an id and of a config; a failed row takes the place of failed ones only."""

    found: dict[str, tuple[bool, str, str]] = field(default_factory=dict)
    same: dict[str, list[str]] = field(default_factory=dict)

    def put(self, row: Row, line: str) -> None:
        id, ok, config = row["id"], row["status"] == "ok", json.dumps(row["config"], sort_keys=True)
        if not ok and id in self.found and self.found[id][0]:
            return
        others = self.same.get(config, [])
        gone = {other for other in others if other != id and (ok or not self.found[other][0])}
        for other in gone:
            del self.found[other]
        self.same[config] = [*(other for other in others if other not in gone and other != id), id]
        self.found[id] = ok, config, line

    def values(self) -> list[str]:
        return [self.found[id][2] for id in sorted(self.found)]


def _lines(path: Path, belongs: Belongs | None = None) -> Iterator[tuple[str, Row]]:
    """Yield each line of a whole file with its row."""
    if not path.exists():
        raise InputError(f"{short_name(path)}: no such file of rows; run the suite first ('vitmem run')")
    seen: dict[str, int] = {}
    with readable(path, "rows"), path.open("rb") as file:
        number = 0
        while chunk := list(islice(file, CHUNK)):
            for line, row in _parsed(chunk, path, number, belongs):
                number += 1
                if row["id"] in seen:
                    raise InputError(
                        f"{path}:{number}: id {row['id']} is on line {seen[row['id']]} too; delete one of them"
                    )
                seen[row["id"]] = number
                yield line, row


def _parsed(chunk: list[bytes], path: Path, before: int, belongs: Belongs | None) -> Iterator[tuple[str, Row]]:
    """Yield the lines ``before + 1`` and on of ``path`` with their rows, checked."""
    rows = _at_once(chunk)
    for n, raw in enumerate(chunk):
        where = f"{path}:{before + n + 1}"
        try:
            line = raw.decode().removesuffix("\n")
        except UnicodeDecodeError:
            raise InputError(f"{where}: not text in UTF-8; {MEND}") from None
        sealed = _sealed(line)
        believed = rows is not None and (_holds(rows[n], line) if sealed else _plain(line, rows[n]))
        row = rows[n] if rows is not None and believed else parse_json(line, where, MEND)
        if not isinstance(row, dict):
            raise InputError(f"{where}: expected a JSON object, got {type(row).__name__}; {MEND}")
        _check(row, sealed, where, belongs)
        yield line, cast(Row, row)


def _at_once(chunk: list[bytes]) -> list[Any] | None:
    """Return what is on each line, parsed as one list, or ``None`` where that fails; equal keys are one text."""
    try:
        # three times as fast as json, which tells where a line is wrong
        found: list[Any] = from_json(b"[" + b",".join(chunk) + b"]", allow_inf_nan=False)
    except ValueError:
        return None
    return found if len(found) == len(chunk) else None


def _sealed(line: str) -> bool:
    """Say whether ``line`` ends with the digest of what stands before it: it is as it was written."""
    end = -len(DIGEST) - DIGITS - 2
    return line[end:].startswith(DIGEST) and line == _with_digest(line[:end] + "}")


def _holds(row: Any, line: str) -> bool:
    """Say whether ``row`` has the digest that ``line`` ends with: lines that were cut may shift the others."""
    return row.__class__ is dict and row.get("digest") == line[-DIGITS - 2 : -2]


def _plain(line: str, row: Any) -> bool:
    """Say whether ``row`` is what ``line`` alone says, each key once and each number finite.

    ``False`` may also mean that this is not known: a text in it looks like a key.
    """
    if row.__class__ is not dict or not (line.startswith("{") and line.endswith("}")):
        return False
    try:
        return _keys(row) == line.count('":')
    except OverflowError:
        return False


def _keys(value: Any) -> int:
    """Return how many keys there are in ``value``; raises OverflowError for NaN or infinity in it."""
    total = 0
    if value.__class__ is dict:
        total, value = len(value), value.values()
    elif set(map(type, value)) <= WHOLE:  # a column of a matrix of counts, names of layers
        return 0
    elif set(map(type, value)) == {float}:
        if not math.isfinite(math.fsum(map(abs, value))):
            raise OverflowError
        return 0
    for one in value:
        kind = one.__class__
        if kind is float:
            if one - one != 0.0:
                raise OverflowError
        elif kind is dict or kind is list:
            total += _keys(one)
    return total


def _check(row: dict[str, Any], sealed: bool, where: str, belongs: Belongs | None) -> None:
    """Raise InputError unless ``row``, with a digest that was right or with none, is one; the digest is taken out."""
    digest = row.pop("digest", None)
    same = sealed or (digest is None and next(reversed(row), "") in LAST_KEYS)
    if not same and row.get("schema", ROW_SCHEMA) == ROW_SCHEMA:
        raise InputError(f"{where}: it has another content than was written; {MEND}")
    if (wrong := fault(row)) is not None:
        raise InputError(f"{where}: {wrong}{'' if 'schema' in wrong else f'; {MEND}'}")
    if digest is None and belongs is not None and not belongs(cast(Row, row)):
        raise InputError(f"{where}: the config of this row is not that of its id {row['id']}; {MEND}")


def _line(row: Row) -> str:
    """Return the line of a row; raises VitmemError for NaN, infinity and a row that readers could not read."""
    try:
        text = json.dumps(row, sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except ValueError:
        raise VitmemError(f"row {row['id']}: {_not_finite(row)} is not a finite number") from None
    if (wrong := fault(row)) is not None:
        raise VitmemError(f"row {row.get('id')}: {wrong}")
    return _with_digest(text)


def _with_digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
    return f'{text[:-1]}{DIGEST}{digest}"}}'


def _not_finite(value: Any, place: str = "") -> str | None:
    """Return the dotted place of the first NaN or infinity inside ``value``."""
    if isinstance(value, float):
        return None if math.isfinite(value) else place.removeprefix(".")
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return next((p for k, v in items if (p := _not_finite(v, f"{place}.{k}"))), None)
