"""Image datasets as parquet files in the layout of the Hugging Face Hub.

A column ``img`` or ``image`` of encoded images (a struct of ``bytes`` and ``path``), a label column ``label`` or
``fine_label``, class names in the schema's ``huggingface`` metadata; one file per split or several shards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from vitmem.data.columns import class_names, encoded, features, integers
from vitmem.data.decode import decode_all
from vitmem.data.sets import ImageSet
from vitmem.errors import InputError, one_line
from vitmem.files import check_readable

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label")
COARSE_COLUMN = "coarse_label"


@dataclass(frozen=True)
class ParquetSplit:
    """One split: its images in the order of the rows, class names, superclass of each class (K,) or None.

    ``digests`` (N,) are the SHA-256 of the encoded images.
    """

    images: ImageSet
    classes: tuple[str, ...]
    coarse: NDArray[np.int64] | None
    digests: tuple[bytes, ...]


def read_split(files: Sequence[Path], size: int | None = None) -> ParquetSplit:
    """Decode the images and labels of ``files``, scaled to ``size`` pixels when given.

    Integer columns other than the label and superclasses become ``extra_labels``. Raises InputError for a file that is
    damaged, empty or without these columns.
    """
    table, where = read_table(files), files[0]
    schema = table.schema
    image_column = _first(schema, IMAGE_COLUMNS, where)
    label_column = _first(schema, LABEL_COLUMNS, where)
    columns = {n: integers(table, n, where) for n in schema.names if pa.types.is_integer(schema.field(n).type)}
    if label_column not in columns:
        raise InputError(
            f"{where}: expected whole numbers in column '{label_column}', got {schema.field(label_column).type}"
        )
    labels = columns.pop(label_column)
    classes = class_names(schema, label_column, where) or tuple(str(c) for c in range(int(labels.max()) + 1))
    if labels.min() < 0 or labels.max() >= len(classes):
        raise InputError(
            f"{where}: expected labels 0 to {len(classes) - 1} in column '{label_column}', "
            f"got {labels.min()} to {labels.max()}"
        )
    coarse = columns.get(COARSE_COLUMN)
    images = encoded(table, image_column, where)
    # free the table before decoding: the copied images are as large
    del table
    pa.default_memory_pool().release_unused()
    extra = {n: v for n, v in columns.items() if "coarse" not in n}
    return decoded(
        images, lambda row: f"{where}: row {row} of column '{image_column}'", size, labels, classes, extra, coarse
    )


def decoded(
    images: Sequence[bytes | Path],
    where: Callable[[int], str],
    size: int | None,
    labels: NDArray[np.int64],
    classes: tuple[str, ...],
    extra: dict[str, NDArray[np.int64]],
    coarse: NDArray[np.int64] | None,
) -> ParquetSplit:
    """Decode the encoded ``images`` with their ``labels``, ``extra`` labels and superclasses ``coarse``, (n,) each.

    ``where(i)`` names image i in the InputError for one that is unreadable or, without ``size``, of another size.
    """
    digests = tuple(
        hashlib.sha256(image if isinstance(image, bytes) else image.read_bytes()).digest() for image in images
    )
    split = ImageSet(decode_all(images, where, size), torch.from_numpy(labels), torch.arange(len(labels)), extra)
    return ParquetSplit(split, classes, None if coarse is None else _superclass(labels, coarse, len(classes)), digests)


def read_table(files: Sequence[Path]) -> pa.Table:
    """Return the rows of ``files`` as one table.

    Raises InputError for a file that is damaged or empty, or has other columns or class names than the first.
    """
    tables = [_read_table(file) for file in files]
    schema = tables[0].schema
    for file, table in zip(files, tables, strict=True):
        if (got := _columns(table.schema)) != (expected := _columns(schema)):
            raise InputError(f"{file}: expected the columns {expected} of {files[0].name}, got {got}")
        first, found = ({n: f.get("names") for n, f in features(s, file).items()} for s in (schema, table.schema))
        if other := next((name for name in schema.names if first.get(name) != found.get(name)), None):
            raise InputError(f"{file}: expected the class names of {files[0].name}, got others for '{other}'")
    return pa.concat_tables(tables).replace_schema_metadata(schema.metadata)


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


def _superclass(labels: NDArray[np.int64], coarse: NDArray[np.int64], num_classes: int) -> NDArray[np.int64] | None:
    """Return the superclass of each class (K,), or None when a class has several or no images."""
    table = np.full(num_classes, -1)
    table[labels] = coarse
    return table if (table >= 0).all() and (table[labels] == coarse).all() else None
