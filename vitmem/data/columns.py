"""Columns of a table of images in the layout of the Hugging Face Hub: encoded images, labels and class names.

An image is a struct of ``bytes`` and ``path``, or the bytes alone. Types and class names are in the schema's
``huggingface`` metadata.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vitmem.errors import InputError, shown, unknown
from vitmem.files import same_name
from vitmem.parsing import parse_json

LABEL = "label"


def features(schema: pa.Schema, where: Path | str) -> dict[str, Any]:
    """Return the description of each column in the metadata, by name; raises InputError for damaged metadata."""
    text = (schema.metadata or {}).get(b"huggingface")
    info = {} if text is None else parse_json(text.decode(errors="replace"), f"{where}: metadata 'huggingface'")
    for key in ("info", "features"):
        info = _mapping(info, key, where).get(key, {})
    return {name: found for name, found in _mapping(info, "columns", where).items() if isinstance(found, dict)}


def class_names(schema: pa.Schema, column: str, where: Path | str) -> tuple[str, ...] | None:
    """Return the class names of ``column`` in the metadata, ``None`` without any.

    Raises InputError for damaged metadata, and for a repeated name.
    """
    names = features(schema, where).get(column, {}).get("names")
    if names is None:
        return None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"{where}: expected a list of class names in the metadata of '{column}', got {names!r:.80}")
    composed = [same_name(name) for name in names]
    double = next((name for name in composed if composed.count(name) > 1), None)
    if double is not None:
        raise InputError(f"{where}: two classes have the name '{double[:80]}'; give each its own and write it again")
    return tuple(composed)


def integers(table: pa.Table, column: str, where: Path | str) -> NDArray[np.int64]:
    """Return a column of integers (n,); raises InputError for an empty value, and for one of more than 63 bits."""
    values = table.column(column)
    if values.null_count:
        raise InputError(f"{where}: expected a label in every row, got {values.null_count} empty ones in '{column}'")
    numbers = values.to_numpy()
    if numbers.dtype == np.uint64 and (numbers > np.iinfo(np.int64).max).any():
        raise InputError(f"{where}: expected labels in column '{column}', got {numbers.max()}")
    return np.array(numbers, dtype=np.int64)


def encoded(table: pa.Table, column: str, where: Path | str, first: int = 0, local: bool = False) -> list[bytes | Path]:
    """Return the encoded images of ``column``; with ``local`` an image without bytes is the file at its path.

    Raises InputError for an empty image; rows are numbered from ``first``.
    """
    images: list[bytes | Path] = []
    for row, value in enumerate(table.column(column).to_pylist(), first):
        content = value.get("bytes") if isinstance(value, dict) else value
        if local and content is None and isinstance(value, dict) and value.get("path"):
            content = Path(value["path"])
        if not content or not isinstance(content, bytes | Path):
            raise InputError(f"{where}: row {row}: expected the bytes of an image in column '{column}', got none")
        images.append(content)
    return images


def image_column(schema: pa.Schema, wanted: str | None, where: Path | str) -> str:
    """Return the column ``wanted``, or the only one of images; raises InputError for another number of them."""
    kinds = features(schema, where)
    found = [
        f.name for f in schema if _may_be_images(f.type) and kinds.get(f.name, {}).get("_type", "Image") == "Image"
    ]
    if wanted is not None:
        if wanted not in schema.names:
            raise unknown(f"column in {where}:", wanted, schema.names)
        if wanted not in found:
            raise InputError(f"{where}: expected images in column '{wanted}', got {_kind(schema, wanted)}")
        return wanted
    if len(found) != 1:
        got = ", ".join(found) or f"none among {', '.join(schema.names)}"
        raise InputError(f"{where}: expected one column of images, got {got[:200]}; name one as 'image'")
    return found[0]


def label_column(schema: pa.Schema, wanted: str | None, where: Path | str) -> str:
    """Return the column ``wanted``, the only one with class names, or ``label``; raises InputError without any."""
    if wanted is not None:
        if wanted not in schema.names:
            raise unknown(f"column in {where}:", wanted, schema.names)
        return wanted
    named = [name for name in schema.names if class_names(schema, name, where) is not None]
    if len(named) == 1:
        return named[0]
    if LABEL in schema.names:
        return LABEL
    got = ", ".join(named or schema.names)
    raise InputError(
        f"{where}: expected one column of classes or the column '{LABEL}', got {got[:200]}; name one as 'label'"
    )


def labels_of(
    table: pa.Table, column: str, where: Path | str, training: Sequence[str] | None = None
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the class numbers of ``column``, (n,), and the class names.

    Class names are those of the metadata, otherwise the sorted distinct values, or those of the ``training`` split.
    Raises InputError for empty and other values, numbers outside the classes, and classes that training has not.
    """
    names = class_names(table.schema, column, where)
    if names is None:
        values = _texts(table, column, where)
        if values is None:
            got = _kind(table.schema, column)
            raise InputError(f"{where}: expected whole numbers or texts as labels in column '{column}', got {got}")
        if empty := sum(value is None for value in values):
            raise InputError(f"{where}: expected a label in every row, got {empty} empty ones in '{column}'")
        names = tuple(training or _sorted(set(values.tolist()), f"{where}: column '{column}'"))
        numbers = _numbers(values, names)
        if (numbers < 0).any():
            got = shown(values[numbers < 0][0])
            raise InputError(f"{where}: expected the {len(names)} classes of training in column '{column}', got {got}")
        return numbers, names
    if not pa.types.is_integer(table.schema.field(column).type):
        raise InputError(f"{where}: expected whole numbers in column '{column}', got {_kind(table.schema, column)}")
    numbers = integers(table, column, where)
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= len(names)):
        raise InputError(
            f"{where}: expected labels 0 to {len(names) - 1} in column '{column}', got {numbers.min()} to "
            f"{numbers.max()}; has this split labels?"
        )
    if training is not None and names != tuple(training):
        raise InputError(f"{where}: expected the class names of the training split, got others in column '{column}'")
    return numbers, names


def further_labels(
    table: pa.Table, but: Collection[str], classes: tuple[str, ...], numbered: bool, where: Path | str
) -> dict[str, NDArray[np.int64]]:
    """Return the columns, except ``but``, of which any value is one of ``classes``, as class numbers (n,) by name.

    Texts and classes of the metadata are matched by name; integers are class numbers if ``numbered``, otherwise names.
    A value that is no class is -1.
    """
    found = {}
    for name in [name for name in table.schema.names if name not in but]:
        own, values = class_names(table.schema, name, where), table.column(name)
        if (own is not None or numbered) and pa.types.is_integer(values.type):
            numbers = np.array(values.cast(pa.int64(), safe=False).fill_null(-1).to_numpy())
            numbers = np.where((numbers >= 0) & (numbers < len(own or classes)), numbers, -1)
            if own is not None:
                numbers = np.append(_numbers(np.array(own, dtype=object), classes), -1)[numbers]
        elif (texts := _texts(table, name, where)) is not None:
            numbers = _numbers(texts, classes)
        else:
            continue
        if (numbers >= 0).any():
            found[name] = numbers
    return found


def _mapping(value: Any, key: str, where: Path | str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected '{key}' in the metadata 'huggingface', got {value!r:.80}")
    return value


def _texts(table: pa.Table, column: str, where: Path | str) -> NDArray[np.object_] | None:
    """Return texts, or integers as texts, (n,) with ``None`` for empty ones; ``None`` for a column of another type."""
    values = table.column(column)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer)
    if not any(kind(values.type) for kind in kinds):
        return None
    texts = [None if value in (None, "") else same_name(str(value)) for value in values.to_pylist()]
    return np.array(texts, dtype=object)


def _sorted(names: set[str], where: str) -> list[str]:
    """Return class names in the order of numbers, otherwise of texts; raises InputError for an unlabelled set."""
    numbers = all(name.removeprefix("-").isdecimal() for name in names)
    if numbers and any(int(name) < 0 for name in names):
        raise InputError(
            f"{where}: expected numbers from 0 as labels, got {min(map(int, names))}; are these unlabelled?"
        )
    return sorted(names, key=int) if numbers else sorted(names)


def _numbers(texts: NDArray[np.object_], classes: Sequence[str]) -> NDArray[np.int64]:
    number = {name: place for place, name in enumerate(classes)}
    return np.array([number.get(text, -1) for text in texts], dtype=np.int64)


def _may_be_images(kind: pa.DataType) -> bool:
    """Return whether encoded images may be stored as ``kind``."""
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _kind(schema: pa.Schema, column: str) -> str:
    return str(schema.field(column).type)[:80]
