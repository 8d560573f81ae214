"""Data sets of the Hugging Face Hub: by name through the library ``datasets``, or from a folder.

A folder has parquet files of the splits, in itself, in ``data`` or in a folder named after the configuration (the
layouts of a copy of a repository), or a data set saved by ``save_to_disk``. Parquet files are read without
``datasets``, with the checks of our own reader. Code of a data set is never run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from vitmem.data.columns import class_names, encoded, further_labels, image_column, integers, label_column, labels_of
from vitmem.data.decoder import Decoder
from vitmem.data.encoded import Parts
from vitmem.data.parquet import (
    COARSE_COLUMN,
    ROWS,
    ParquetSplit,
    count_rows,
    read_images,
    read_schema,
    read_table,
    split_of,
)
from vitmem.data.sets import ImageData, ImageSet, assemble
from vitmem.data.shards import find_split, splits_in
from vitmem.data.split import HELD_OUT_SHARE, apart, check_no_validation, held_apart, held_out_remark
from vitmem.data.streamed import Loading, streams
from vitmem.errors import InputError, nearest, one_line, shown
from vitmem.files import expand
from vitmem.lazy import extra

NAME = "hub"
# Names of validation splits, in the order of choice.
VALIDATION = ("validation", "val", "test")
ON_HUB = re.compile(r"[\w.-]+/[\w.-]+")
# Files of ``Dataset.save_to_disk`` and ``DatasetDict.save_to_disk``.
SAVED = ("state.json", "dataset_dict.json")


@dataclass(frozen=True)
class HubSource:
    """What a suite says of a data set, see ``vitmem.datasets.hub``."""

    path: str
    config: str | None
    revision: str | None
    split: str
    validation_split: str | None
    held_out: float | None
    image: str | None
    label: str | None
    size: int | None
    loading: Loading | None = None


@dataclass(frozen=True)
class Split:
    """The ``count`` rows of one split, named ``where`` in errors: their files and columns.

    ``read`` returns the table of some columns, ``images`` yields the encoded images of one. ``features`` is the
    library's description of the columns; ``None`` for parquet files, which have their own.
    """

    where: str
    files: Sequence[Path]
    schema: pa.Schema
    count: int
    read: Callable[[Sequence[str]], pa.Table]
    images: Callable[[str], Parts]
    features: str | None = None


# Returns a split by name, ``None`` for one that is not there.
Find = Callable[[str], Split | None]


def read_hub(data_dir: Path | None, cache_dir: Path, source: HubSource) -> ImageData:
    """Return the images of ``source``; raises InputError for anything that is missing or does not fit."""
    if source.validation_split is not None and source.held_out is not None:
        raise _error("expected 'validation_split' or 'held_out', got both")
    find, names = _found(data_dir, source)
    train = _need(find, names, source.split)
    validation = None
    if source.validation_split is not None:
        validation = _need(find, names, source.validation_split)
    elif source.held_out is None:
        others = (find(name) for name in VALIDATION if name != source.split)
        validation = next((split for split in others if split is not None), None)
        if validation is None:
            others_named = [name for name in names if name != source.split]
            check_no_validation(others_named, VALIDATION, f"data '{NAME}'", "name it as 'validation_split'")
    share = None if validation is not None else source.held_out or HELD_OUT_SHARE

    decoder = _decoder(source, cache_dir, train.count + (validation.count if validation is not None else 0))

    def decode() -> ImageData:
        first = _read(train, source, decoder)
        if validation is not None:
            parts = first.images, _read(validation, source, decoder, first.classes).images
        else:
            labels = first.images.labels.numpy()
            parts = apart(first.images, held_apart(first.digests, labels, share or 0, train.where))
        return assemble(NAME, _square(parts[0]), _square(parts[1]), first.classes, first.coarse)

    files = [*train.files, *(validation.files if validation is not None else ())]
    kinds = [split.features for split in (train, validation) if split is not None]
    settings = len(train.files), kinds, share, source.image, source.label, source.size
    data = decoder.data(files, settings, decode)
    return data if share is None else replace(data, remarks=(*data.remarks, held_out_remark(data, share, "the image")))


def _error(text: str) -> InputError:
    return InputError(f"data '{NAME}': {text}")


def _need(find: Find, names: Sequence[str], split: str) -> Split:
    found = find(split)
    if found is None:
        raise _error(f"no split {shown(split)}; {nearest(split, names)}")
    return found


def _found(data_dir: Path | None, source: HubSource) -> tuple[Find, Sequence[str]]:
    """Return a function that finds a split of ``source``, and the names of those that are known."""
    root = None if data_dir is None else data_dir / expand(source.path)
    if root is not None and os.path.isdir(root):
        if source.revision is not None:
            raise _error(f"'revision' is for a name on the Hub, and {root} is a folder; leave it out")
        if any(os.path.exists(root / name) for name in SAVED):
            return _of_datasets(_saved(root), str(root), source)
        return _of_parquet(root, source)
    if not ON_HUB.fullmatch(source.path):
        where = f"a folder at {root}" if root is not None else "--data-dir for a folder"
        raise _error(f"expected {where}, or a name on the Hub such as uoft-cs/cifar10, got {shown(source.path)}")
    if os.path.exists(source.path):  # load_dataset would read it
        raise _error(f"{shown(source.path)} is a name on the Hub and a folder here; give its parent with --data-dir")
    return _of_datasets(_loaded(source), source.path, source)


def _of_parquet(root: Path, source: HubSource) -> tuple[Find, Sequence[str]]:
    folders = [root, root / "data"] if source.config is None else [root / source.config]

    def find(name: str) -> Split | None:
        if not (files := find_split(folders, name)):
            return None
        schema, count = read_schema(files), count_rows(files)
        table, images = partial(read_table, files, schema), partial(read_images, files)
        return Split(str(files[0]), files, schema, count, table, images)

    named = [names for folder in folders if (names := splits_in(folder))]
    if not named:
        raise _error(f"expected parquet files of splits in {' or '.join(map(str, folders))}, found none; see 'config'")
    if len(named) > 1:
        raise _error(f"expected parquet files in {folders[0]} or in {folders[1]}, got some in both; move one set away")
    return find, named[0]


def _saved(root: Path) -> Any:
    try:
        return extra("datasets", NAME).load_from_disk(str(root), keep_in_memory=False)
    except InputError:
        raise
    except Exception as error:  # of pyarrow, of JSON and of the library
        raise _error(
            f"{root}: not a readable data set of save_to_disk ({one_line(error, 160)}); save it again"
        ) from None


def _loaded(source: HubSource) -> Any:
    """Return all splits of a data set of the Hub, downloaded or from the cache of ``datasets``."""
    library = extra("datasets", NAME)
    try:
        found = library.load_dataset(source.path, source.config, revision=source.revision, keep_in_memory=False)
    except Exception as error:  # of the network, the Hub, the builder and pyarrow
        reason = one_line(error, 160)
        if "scripts are no longer supported" in reason:
            hint = "it needs a script, which is never run; take a data set of parquet files"
        elif isinstance(error, ConnectionError) or "find cache" in reason:
            hint = "without a network, copy its parquet files into a folder of --data-dir and name that folder"
        else:
            hint = "see 'path', 'config' and 'revision'"
        raise _error(f"cannot load {shown(source.path)} from the Hub ({reason}); {hint}") from None
    # without a network the library takes any commit in its cache, whose folders have the commits as names
    commits = {Path(file["filename"]).parent.name for dataset in found.values() for file in dataset.cache_files}
    if source.revision is not None and commits != {source.revision}:
        got = ", ".join(sorted(commits))
        raise _error(
            f"expected revision {source.revision} of {shown(source.path)}, got {got} from the cache; go online"
        )
    return found


def _of_datasets(found: Any, where: str, source: HubSource) -> tuple[Find, Sequence[str]]:
    """Return the splits of a ``DatasetDict``, or of a ``Dataset`` as the split ``split``."""
    splits: Mapping[str, Any] = found if isinstance(found, dict) else {source.split: found}

    def find(name: str) -> Split | None:
        return None if name not in splits else _of_dataset(splits[name], f"{where}: split '{name}'", source)

    return find, list(splits)


def _of_dataset(dataset: Any, where: str, source: HubSource) -> Split:
    if not len(dataset):
        raise _error(f"{where}: expected images, got a split without rows")
    table = dataset.with_format("arrow")[:].replace_schema_metadata(dataset.features.arrow_schema.metadata)
    images = table.column(image_column(table.schema, source.image, where))
    files = [Path(file["filename"]) for file in dataset.cache_files]
    # of a folder of images the library has paths instead of bytes
    if pa.types.is_struct(images.type) and pc.struct_field(images, "bytes").null_count:
        beside = images.filter(pc.is_null(pc.struct_field(images, "bytes"))).to_pylist()
        files += [Path(image["path"]) for image in beside if image and image.get("path")]

    def parts(column: str) -> Parts:
        for row in range(0, len(table), ROWS):
            yield encoded(table.slice(row, ROWS), column, where, row, local=True)

    return Split(where, files, table.schema, len(table), table.select, parts, str(dataset.features))


def _decoder(source: HubSource, cache_dir: Path, count: int) -> Decoder:
    """Return how ``count`` images are read; raises InputError for streamed ones without a size."""
    if source.size is not None:
        return Decoder(NAME, cache_dir, source.size, streams(source.loading, count, source.size))
    if source.loading == "stream":
        raise _error("'loading': streamed images need a 'size' in pixels")
    return Decoder(NAME, cache_dir)


def _read(split: Split, source: HubSource, decoder: Decoder, training: tuple[str, ...] | None = None) -> ParquetSplit:
    """Return the images and labels of a split; ``training`` are the class names of the training split."""
    schema, where = split.schema, split.where
    image = image_column(schema, source.image, where)
    label = label_column(schema, source.label, where)
    table = split.read([name for name in schema.names if name != image])
    labels, classes = labels_of(table, label, where, training)
    but = {label, COARSE_COLUMN}
    numbered = class_names(schema, label, where) is not None
    further = further_labels(table, but, classes, numbered, where)
    coarse = None
    if label != COARSE_COLUMN and COARSE_COLUMN in table.schema.names and numbered:
        coarse = integers(table, COARSE_COLUMN, where)
    found = decoder.rows(lambda: split.images(image), split.files, where, image)
    return split_of(found, labels, classes, further, coarse)


def _square(images: ImageSet) -> ImageSet:
    height, width = images.images.shape[-2:]
    if height != width:
        raise _error(f"expected square images, got {width}x{height} pixels; give 'size' in pixels")
    return images
