"""Image datasets as parquet files in the layout of the Hugging Face Hub.

A column ``img`` or ``image`` of encoded images (a struct of ``bytes`` and ``path``), a label column ``label`` or
``fine_label``, class names in the schema's ``huggingface`` metadata; one file per split or several shards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from vitmem.data.decode import decode_all
from vitmem.data.sets import ImageSet
from vitmem.errors import InputError, one_line
from vitmem.files import check_readable, same_name
from vitmem.parsing import parse_json

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label")
COARSE_COLUMN = "coarse_label"


@dataclass(frozen=True)
class ParquetSplit:
    """One split: its images in the order of the files, class names, superclass of each class (K,) or None."""

    images: ImageSet
    classes: tuple[str, ...]
    coarse: NDArray[np.int64] | None


def read_split(files: Sequence[Path], size: int | None = None) -> ParquetSplit:
    """Decode the images and labels of ``files``, scaled to ``size`` pixels when given.

    Integer columns other than the label and superclasses become ``extra_labels``. Raises InputError for a file that is
    damaged, empty or without these columns.
    """
    tables = [_read_table(file) for file in files]
    schema = tables[0].schema
    for file, table in zip(files, tables, strict=True):
        if (got := _columns(table.schema)) != (expected := _columns(schema)):
            raise InputError(f"{file}: expected the columns {expected} of {files[0].name}, got {got}")
    table = pa.concat_tables(tables)
    image_column = _first(schema, IMAGE_COLUMNS, files[0])
    label_column = _first(schema, LABEL_COLUMNS, files[0])
    integers = {n: _integers(table, n, files[0]) for n in schema.names if pa.types.is_integer(schema.field(n).type)}
    if label_column not in integers:
        raise InputError(
            f"{files[0]}: expected whole numbers in column '{label_column}', got {schema.field(label_column).type}"
        )
    labels = integers.pop(label_column)
    classes = _class_names(schema, label_column, labels, files[0])
    for file, one in zip(files, tables, strict=True):
        if _class_names(one.schema, label_column, labels, file) != classes:
            raise InputError(f"{file}: expected the class names of {files[0].name}, got others for '{label_column}'")
    if labels.min() < 0 or labels.max() >= len(classes):
        raise InputError(
            f"{files[0]}: expected labels 0 to {len(classes) - 1} in column '{label_column}', "
            f"got {labels.min()} to {labels.max()}"
        )
    coarse = integers.get(COARSE_COLUMN)
    encoded = _encoded(table, image_column, files[0])
    # free the table before decoding: the copied images are as large
    del table, tables
    pa.default_memory_pool().release_unused()
    pixels = decode_all(encoded, lambda row: f"{files[0]}: row {row} of column '{image_column}'", size)
    extra = {n: v for n, v in integers.items() if "coarse" not in n}
    images = ImageSet(pixels, torch.from_numpy(labels), torch.arange(len(labels)), extra)
    return ParquetSplit(images, classes, None if coarse is None else _superclass(labels, coarse, len(classes)))


def _read_table(file: Path) -> pa.Table:
    check_readable(file, "a parquet file")
    try:
        # without threads: the decoder uses its own
        table = pq.ParquetFile(file, page_checksum_verification=True).read(use_threads=False)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        raise InputError(f"{file}: not a readable parquet file ({one_line(error)}); fetch the file again") from None
    double = next((name for name in table.schema.names if table.schema.names.count(name) > 1), None)
    if double is not None:
        raise InputError(f"{file}: two columns have the name '{double[:80]}'; give each its own and write it again")
    if table.num_rows == 0:
        raise InputError(f"{file}: expected images, got a parquet file without rows")
    return table


def _columns(schema: pa.Schema) -> str:
    """Return names and types of the columns as one text, truncated if there are many."""
    return ", ".join(f"{field.name} ({field.type})" for field in schema)[:120]


def _first(schema: pa.Schema, wanted: Sequence[str], file: Path) -> str:
    for name in wanted:
        if name in schema.names:
            return name
    raise InputError(f"{file}: expected a column {' or '.join(repr(n) for n in wanted)}, got {', '.join(schema.names)}")


def _integers(table: pa.Table, column: str, file: Path) -> NDArray[np.int64]:
    values = table.column(column)
    if values.null_count:
        raise InputError(f"{file}: expected a label in every row, got {values.null_count} empty ones in '{column}'")
    integers = values.to_numpy()
    if integers.dtype == np.uint64 and (integers > np.iinfo(np.int64).max).any():
        raise InputError(f"{file}: expected labels in column '{column}', got {integers.max()}")
    return np.array(integers, dtype=np.int64)


def _encoded(table: pa.Table, column: str, file: Path) -> list[bytes]:
    values = table.column(column).to_pylist()
    encoded: list[bytes] = []
    for row, value in enumerate(values):
        content = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(content, bytes):
            raise InputError(f"{file}: row {row}: expected the bytes of an image in column '{column}', got none")
        encoded.append(content)
    return encoded


def _class_names(schema: pa.Schema, column: str, labels: NDArray[np.int64], file: Path) -> tuple[str, ...]:
    """Return the class names of the metadata, or the numbers as names without metadata.

    Raises InputError for damaged metadata, and for a repeated name.
    """
    text = (schema.metadata or {}).get(b"huggingface")
    info = {} if text is None else parse_json(text.decode(errors="replace"), f"{file}: metadata 'huggingface'")
    for key in ("info", "features", column):
        if not isinstance(info, dict):
            raise InputError(f"{file}: expected '{key}' in the metadata 'huggingface', got {info!r:.80}")
        info = info.get(key, {})
    names = info.get("names") if isinstance(info, dict) else None
    if names is None:
        return tuple(str(c) for c in range(int(labels.max()) + 1))
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"{file}: expected a list of class names in the metadata of '{column}', got {names!r:.80}")
    composed = [same_name(name) for name in names]
    double = next((name for name in composed if composed.count(name) > 1), None)
    if double is not None:
        raise InputError(f"{file}: two classes have the name '{double[:80]}'; give each its own and write it again")
    return tuple(composed)


def _superclass(labels: NDArray[np.int64], coarse: NDArray[np.int64], num_classes: int) -> NDArray[np.int64] | None:
    """Return the superclass of each class (K,), or None when a class has several or no images."""
    table = np.full(num_classes, -1)
    table[labels] = coarse
    return table if (table >= 0).all() and (table[labels] == coarse).all() else None
