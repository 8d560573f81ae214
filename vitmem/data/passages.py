"""Passages that a language model may know by heart, controls from the same books, and text to compute on.

``<data-dir>/<folder>/famous_passages.jsonl`` has a passage a line (``id``, ``kind`` famous or control, ``text``),
``corpus.parquet`` beside it whole books (``name``, ``text``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from vitmem.errors import InputError

NAME = "passages"
KINDS = ("famous", "control")


@dataclass(frozen=True)
class Passage:
    """One passage: what it is called, its kind, its text."""

    id: str
    kind: str
    text: str


@dataclass(frozen=True)
class Passages:
    """The passages in the order of their file, and the books by name."""

    passages: tuple[Passage, ...]
    corpus: Mapping[str, str]

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of the SHA-256 of everything."""
        parts = [*((p.id, p.kind, p.text) for p in self.passages), *sorted(self.corpus.items())]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def of(self, kind: str) -> list[str]:
        """Return the texts of one kind."""
        return [p.text for p in self.passages if p.kind == kind]


def passages(data_dir: Path | None, cache_dir: Path, *, folder: str = "text") -> Passages:
    """Read passages and books; raises InputError for a file that is missing, torn or without what it should have."""
    if data_dir is None:
        raise InputError(f"data '{NAME}': expected --data-dir, the folder that '{folder}' lies in, got none")
    root = data_dir / folder
    found = Passages(_read_passages(root / "famous_passages.jsonl"), read_corpus(root / "corpus.parquet", NAME))
    for kind in KINDS:
        if len(found.of(kind)) < 2:
            raise InputError(
                f"data '{NAME}': expected at least two {kind} passages in {root}, got {len(found.of(kind))}"
            )
    return found


def _read_passages(path: Path) -> tuple[Passage, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"data '{NAME}': expected a passage a line in {path}: {error}") from None
    out = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            out.append(Passage(str(row["id"]), str(row["kind"]), str(row["text"])))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise InputError(f"{path}:{number}: expected JSON with id, kind and text ({error!r})") from None
        if out[-1].kind not in KINDS:
            raise InputError(f"{path}:{number}: expected kind {' or '.join(KINDS)}, got '{out[-1].kind}'")
        if not out[-1].text.strip():
            raise InputError(f"{path}:{number}: passage '{out[-1].id}' is empty")
    return tuple(out)


def read_corpus(path: Path, data: str) -> dict[str, str]:
    """Return the books of a parquet file by name, for the ``data`` of that name; raises InputError if it cannot."""
    try:
        table = pq.read_table(path, columns=["name", "text"])
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"data '{data}': expected books as parquet with name and text in {path}: {error}") from None
    return dict(zip(table["name"].to_pylist(), table["text"].to_pylist(), strict=True))
