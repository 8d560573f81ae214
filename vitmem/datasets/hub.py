"""Data sets of the Hugging Face Hub, and folders in its formats. See ``vitmem.data.hub`` for details."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vitmem.registry import DATA

if TYPE_CHECKING:
    from vitmem.data.sets import ImageData


@DATA.register(
    "hub",
    summary="a data set of the Hugging Face Hub (needs vitmem[hub]), or a folder of its parquet files",
    downloads=True,
)
def hub(
    data_dir: Path | None,
    cache_dir: Path,
    *,
    path: str,
    config: str | None = None,
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None,
    split: str = "train",
    validation_split: str | None = None,
    held_out: Annotated[float, Field(gt=0, lt=1)] | None = None,
    image: str | None = None,
    label: str | None = None,
    size: Annotated[int, Field(gt=0)] | None = None,
    loading: Annotated[Literal["memory", "stream"] | None, Field(exclude=True)] = None,
) -> ImageData:
    """Return the images of ``path``: a folder ``<data_dir>/<path>``, or a name on the Hub such as ``uoft-cs/cifar10``.

    The folder has parquet files, ``<split>.parquet`` or its shards, or a data set saved by ``save_to_disk``.
    ``config`` is the name of a part of the data set, ``revision`` a commit on the Hub. ``validation_split``
    (``None``: ``validation``, ``val`` or ``test``) is left out for a share ``held_out`` of ``split``, chosen by the
    digest of the images; without both and without such a split it is a tenth. ``image`` (``None``: the only column of
    images) and ``label`` (``None``: the only column of classes, or ``label``) name columns; other columns of labels
    serve the noise ``column``. ``size`` scales the shorter side and crops the centre (``None``: as they are).
    ``loading`` holds the images in memory or decodes them whenever they are read (``None``: what fits in a quarter of
    the memory is held, and all without ``size``); it is no part of ids. Raises InputError for anything that is missing
    or does not fit.
    """
    from vitmem.data.hub import HubSource, read_hub

    source = HubSource(path, config, revision, split, validation_split, held_out, image, label, size, loading)
    return read_hub(data_dir, cache_dir, source)
