"""Texts of one's own: files of plain text, of JSON lines or of parquet, packed into rows of tokens."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from vitmem.errors import InputError

SUFFIXES = (".txt", ".jsonl", ".parquet")


def read_texts(source: Path) -> Iterator[str]:
    """Yield the documents of a file or of all files below a folder, in the order of their paths.

    A ``.txt`` is one document, a ``.jsonl`` has one a line under ``text``, a ``.parquet`` one a row in the column
    ``text``. Raises InputError for a place without such files and for a file that is not as it should be.
    """
    files = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.suffix in SUFFIXES)
    if not files or files[0].suffix not in SUFFIXES:
        raise InputError(f"--text: expected a file or a folder of files {', '.join(SUFFIXES)}, got {source}")
    readers = {".txt": _plain, ".jsonl": _json_lines, ".parquet": _parquet}
    return chain.from_iterable(readers[file.suffix](file) for file in files)


def pack(documents: Iterable[str], tokenizer: Any, length: int, tokens: int | None = None) -> Tensor:
    """Return ``documents`` as rows (n, length) int64: one stream without separators, its ragged tail left out.

    At most ``tokens`` of them are read. Raises InputError when they do not fill one row.
    """
    parts: list[np.ndarray[Any, np.dtype[np.int32]]] = []
    count = 0
    for text in documents:
        ids = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        parts.append(np.array(ids, dtype=np.int32))
        count += len(ids)
        if tokens is not None and count >= tokens:
            break
    rows = (count if tokens is None else min(count, tokens)) // length
    if rows == 0:
        raise InputError(f"--text: expected at least one row of {length} tokens, got {count} tokens")
    stream = np.concatenate(parts)[: rows * length]
    return torch.from_numpy(stream.astype(np.int64)).reshape(rows, length)


def _plain(file: Path) -> Iterator[str]:
    try:
        yield file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: expected text in UTF-8, got other bytes at {error.start}") from None


def _json_lines(file: Path) -> Iterator[str]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                text = json.loads(line)["text"]
            except (ValueError, KeyError, TypeError):
                text = None
            if not isinstance(text, str):
                raise InputError(f"{file}:{number}: expected a JSON object with a text under 'text'")
            yield text


def _parquet(file: Path) -> Iterator[str]:
    try:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=1024, columns=["text"]):
            for text in batch["text"].to_pylist():
                if not isinstance(text, str):
                    raise InputError(f"{file}: expected a text in every row of 'text', got {type(text).__name__}")
                yield text
    except (OSError, KeyError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{file}: expected parquet with a column 'text' ({reason})") from None
