"""Image datasets as parquet files in the layout of the Hugging Face Hub.

A column ``img`` or ``image`` of encoded images (a struct of ``bytes`` and ``path``), a label column ``label`` or
``fine_label``, class names in the schema's ``huggingface`` metadata; one file per split or several shards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from vitmem.data.columns import class_names, encoded, features, integers
from vitmem.data.decoder import Decoder
from vitmem.data.encoded import Parts
from vitmem.data.sets import ImageSet
from vitmem.data.streamed import Images
from vitmem.errors import InputError, one_line
from vitmem.files import check_readable

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label")
COARSE_COLUMN = "coarse_label"
# Rows that are read at a time, and bytes of a file: row groups can be larger than the memory.
ROWS, BUFFER = 64, 2**20


@dataclass(frozen=True)
class ParquetSplit:
    """One split: its images in the order of the rows, class names, superclass of each class (K,) or None.

    ``digests`` (N,) are the SHA-256 of the encoded images.
    """

    images: ImageSet
    classes: tuple[str, ...]
    coarse: NDArray[np.int64] | None
    digests: tuple[bytes, ...]


def read_split(files: Sequence[Path], decoder: Decoder) -> ParquetSplit:
    """Read the labels of ``files`` and their images by ``decoder``.

    Integer columns other than the label and superclasses become ``extra_labels``. Raises InputError for a file that is
    damaged, empty or without these columns.
    """
    schema, where = read_schema(files), files[0]
    image_column = _first(schema, IMAGE_COLUMNS, where)
    label_column = _first(schema, LABEL_COLUMNS, where)
    table = read_table(files, schema, [name for name in schema.names if name != image_column])
    columns = {n: integers(table, n, where) for n in table.schema.names if pa.types.is_integer(schema.field(n).type)}
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
    found = decoder.rows(lambda: read_images(files, image_column), files, str(where), image_column)
    extra = {n: v for n, v in columns.items() if "coarse" not in n}
    return split_of(found, labels, classes, extra, coarse)


def split_of(
    found: tuple[Images, tuple[bytes, ...]],
    labels: NDArray[np.int64],
    classes: tuple[str, ...],
    extra: dict[str, NDArray[np.int64]],
    coarse: NDArray[np.int64] | None,
) -> ParquetSplit:
    """Return the images and digests that were ``found``, with their labels, (n,) each."""
    images, digests = found
    split = ImageSet(images, torch.from_numpy(labels), torch.arange(len(labels)), extra)
    return ParquetSplit(split, classes, None if coarse is None else _superclass(labels, coarse, len(classes)), digests)


def read_schema(files: Sequence[Path]) -> pa.Schema:
    """Return the columns of ``files``.

    Raises InputError for a file that is damaged or empty, or has other columns or class names than the first.
    """
    schemas = [_schema(file) for file in files]
    for file, schema in zip(files, schemas, strict=True):
        if (got := _columns(schema)) != (expected := _columns(schemas[0])):
            raise InputError(f"{file}: expected the columns {expected} of {files[0].name}, got {got}")
        first, found = ({n: f.get("names") for n, f in features(s, file).items()} for s in (schemas[0], schema))
        if other := next((name for name in schema.names if first.get(name) != found.get(name)), None):
            raise InputError(f"{file}: expected the class names of {files[0].name}, got others for '{other}'")
    return schemas[0]


def read_table(files: Sequence[Path], schema: pa.Schema, columns: Sequence[str]) -> pa.Table:
    """Return ``columns`` of ``files``, whose ``schema`` is that of ``read_schema``; raises InputError for damage."""
    tables = [pa.Table.from_batches([part]) for file in files for part in _parts(file, columns)]
    return pa.concat_tables(tables).replace_schema_metadata(schema.metadata)


def read_images(files: Sequence[Path], column: str) -> Parts:
    """Yield the encoded images in ``column`` of ``files``, some at a time; raises InputError for damage."""
    for file in files:
        row = 0
        for part in _parts(file, [column]):
            yield encoded(pa.Table.from_batches([part]), column, file, row)
            row += len(part)


def count_rows(files: Sequence[Path]) -> int:
    """Return the number of rows of ``files``; raises InputError for a damaged one."""
    return sum(_opened(file).metadata.num_rows for file in files)


def _schema(file: Path) -> pa.Schema:
    with _opened(file) as found:
        schema, rows = found.schema_arrow, found.metadata.num_rows
    double = next((name for name in schema.names if schema.names.count(name) > 1), None)
    if double is not None:
        raise InputError(f"{file}: two columns have the name '{double[:80]}'; give each its own and write it again")
    if rows == 0:
        raise InputError(f"{file}: expected images, got a parquet file without rows")
    return schema


def _parts(file: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield ``columns`` of ``file``, some rows at a time."""
    with _opened(file) as found, _damage(file):
        # without threads: the decoder uses its own
        for part in found.iter_batches(ROWS, columns=list(columns), use_threads=False):
            part.validate(full=True)
            yield part


def _opened(file: Path) -> pq.ParquetFile:
    check_readable(file, "a parquet file")
    with _damage(file):
        return pq.ParquetFile(file, page_checksum_verification=True, buffer_size=BUFFER)


@contextmanager
def _damage(file: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        raise InputError(f"{file}: not a readable parquet file ({one_line(error)}); fetch the file again") from None


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
