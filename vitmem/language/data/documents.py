"""User texts: files of plain text, JSON lines or parquet, one by one or packed into rows of tokens."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from vitmem.errors import InputError, one_line, shown
from vitmem.files import check_readable, read_text, short_name, walk
from vitmem.language.data.json_lines import json_lines

# Maximum size of a .txt, 4 GiB: it is held in memory as one text.
LARGEST = 4 * 2**30


def documents(path: Path) -> Iterator[str]:
    """Return the texts of a file, or of all files in a folder and its subfolders in the order of their names.

    A ``.txt`` is one text; a ``.jsonl`` has one per line and a ``.parquet`` one per row, under ``text``. Raises
    InputError for a missing or unreadable file, and one without texts.
    """
    if os.path.isdir(path):
        files = sorted(walk(path, READERS).files)
    else:
        check_readable(path, "a file or a folder of texts", "see --text")
        files = [path]
    if not files or files[0].suffix.lower() not in READERS:
        raise InputError(f"--text: expected {', '.join(READERS)} files with texts, got {short_name(path)}")
    return chain.from_iterable(READERS[file.suffix.lower()](file) for file in files)


def pack(texts: Iterable[str], tokenizer: Any, length: int, tokens: int | None = None) -> Tensor:
    """Return ``texts`` as rows (n, length) int64: one stream without separators, dropping the incomplete last row.

    At most ``tokens`` tokens are read. Raises InputError when they do not fill one row.
    """
    parts: list[np.ndarray[Any, np.dtype[np.int32]]] = []
    count = 0
    for text in texts:
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


def _plain(path: Path) -> Iterator[str]:
    text = read_text(path, "a text", limit=LARGEST)
    if "\0" in text:
        raise InputError(f"{path}: expected a text, got null bytes at {text.index(chr(0))}; fetch the file again")
    yield text


def _lines(path: Path) -> Iterator[str]:
    for where, row in json_lines(path):
        if not isinstance(row.get("text"), str):
            raise InputError(f"{where}: expected a text under 'text', got {type(row.get('text')).__name__}")
        yield row["text"]


def _parquet(path: Path) -> Iterator[str]:
    check_readable(path, "a parquet file")
    try:
        stored = pq.ParquetFile(path, page_checksum_verification=True)
        if stored.schema_arrow.names.count("text") != 1:
            raise InputError(f"{path}: expected a text in every row of one column 'text', got {_names(stored)}")
        for batch in stored.iter_batches(batch_size=64, columns=["text"]):
            batch.validate(full=True)
            texts = batch["text"].to_pylist()
            if not all(isinstance(text, str) for text in texts):
                raise InputError(f"{path}: expected a text in every row of a column 'text'")
            yield from texts
    except (OSError, ValueError, MemoryError, OverflowError, pa.ArrowException) as error:
        raise InputError(f"{path}: expected a parquet file with a column 'text' ({one_line(error)})") from None


def _names(stored: pq.ParquetFile) -> str:
    return shown(", ".join(stored.schema_arrow.names))


READERS: dict[str, Callable[[Path], Iterator[str]]] = {".txt": _plain, ".jsonl": _lines, ".parquet": _parquet}
