"""Passages that a language model may have memorized, controls from the same books, and text for statistics.

``<data-dir>/<folder>/famous_passages.jsonl`` has one passage per line (``id``, ``kind`` famous or control, ``text``),
``corpus.parquet`` beside it whole books (``name``, ``text``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from vitmem.errors import InputError, one_line
from vitmem.files import check_readable, expand
from vitmem.language.data.json_lines import json_lines

NAME = "passages"
KINDS = ("famous", "control")


@dataclass(frozen=True)
class Passage:
    """One passage: its id, kind and text."""

    id: str
    kind: str
    text: str


@dataclass(frozen=True)
class Passages:
    """The passages in file order, and the books by name."""

    passages: tuple[Passage, ...]
    corpus: Mapping[str, str]

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of the SHA-256 of all content."""
        parts = [*((p.id, p.kind, p.text) for p in self.passages), *sorted(self.corpus.items())]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def of(self, kind: str) -> list[str]:
        """Return the texts of one kind."""
        return [p.text for p in self.passages if p.kind == kind]


def text_folder(data_dir: Path | None, folder: str, data: str) -> Path:
    """Return the path of ``folder`` inside ``data_dir``, for the data ``data``; raises InputError without one."""
    if data_dir is None:
        raise InputError(f"data '{data}': expected --data-dir, the folder that contains '{folder}', got none")
    return data_dir / expand(folder)


def read_passages(root: Path) -> Passages:
    """Read passages and books in the folder ``root``.

    Raises InputError for a file that is missing, damaged or incomplete.
    """
    passages = Passages(_passages(root / "famous_passages.jsonl"), read_corpus(root / "corpus.parquet", NAME))
    for kind in KINDS:
        if len(passages.of(kind)) < 2:
            raise InputError(
                f"data '{NAME}': expected at least two {kind} passages in {root}, got {len(passages.of(kind))}"
            )
    return passages


def _passages(path: Path) -> tuple[Passage, ...]:
    out: list[Passage] = []
    seen: dict[str, str] = {}
    for where, row in json_lines(path):
        values = [row.get(key) for key in ("id", "kind", "text")]
        numbered = isinstance(values[0], int) and not isinstance(values[0], bool)
        if not all(isinstance(value, str) for value in values[numbered:]):
            raise InputError(f"{where}: expected JSON with id, kind and text, got the keys {', '.join(row) or 'none'}")
        out.append(Passage(*(str(value) for value in values)))
        if out[-1].id in seen:
            raise InputError(f"{where}: the id '{out[-1].id}' is that of {seen[out[-1].id]} too; delete one of them")
        seen[out[-1].id] = where
        if out[-1].kind not in KINDS:
            raise InputError(f"{where}: expected kind {' or '.join(KINDS)}, got '{out[-1].kind}'")
        if not out[-1].text.strip():
            raise InputError(f"{where}: passage '{out[-1].id}' is empty")
    return tuple(out)


def read_corpus(path: Path, data: str) -> dict[str, str]:
    """Return the books of a parquet file by name, for the data ``data``; raises InputError if it is unreadable."""
    check_readable(path, f"the books of data '{data}' as parquet")
    try:
        table = pq.ParquetFile(path, page_checksum_verification=True).read(columns=["name", "text"])
        table.validate(full=True)
        names, texts = table["name"].to_pylist(), table["text"].to_pylist()
    except (OSError, ValueError, KeyError, MemoryError, OverflowError, pa.ArrowException) as error:
        why = one_line(error)
        raise InputError(f"data '{data}': expected books as parquet with name and text in {path}: {why}") from None
    if not all(isinstance(value, str) for value in (*names, *texts)):
        raise InputError(f"{path}: expected a text in every row of 'name' and 'text', got another type or none")
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise InputError(f"{path}: the book '{double[:80]}' comes twice; delete one of them")
    return dict(zip(names, texts, strict=True))
