"""Any folder of images by class, the layout of ImageNet. See ``vitmem.data.folder`` for details."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from vitmem.registry import DATA

if TYPE_CHECKING:
    from vitmem.data.sets import ImageData


@DATA.register("image_folder", summary="a folder of images by class")
def image_folder(
    data_dir: Path | None,
    cache_dir: Path,
    *,
    folder: str,
    classes: tuple[str, ...] | None = None,
    size: Annotated[int, Field(gt=0)] = 224,
    held_out: Annotated[float, Field(gt=0, lt=1)] | None = None,
    loading: Annotated[Literal["memory", "stream"] | None, Field(exclude=True)] = None,
) -> ImageData:
    """Return the images of ``<data_dir>/<folder>``, ``train/<class>/*`` and ``val/<class>/*``, at ``size`` pixels.

    ``folder`` is a relative name, so that ids contain no machine path. ``classes`` selects classes by name and sets
    their order (``None``: all, sorted by name). ``held_out`` is the share of the training images to hold out for
    validation, by the digest of file names (``None``: none, or a tenth in a folder without ``val``). Raises InputError
    for a missing folder or class, and for a class without images. ``loading`` holds the images in memory or decodes
    them whenever they are read (``None``: what fits in a quarter of the memory is held); it is no part of ids.
    """
    from vitmem.data.folder import read_folder

    return read_folder(data_dir, cache_dir, folder, classes, size, held_out, loading)
