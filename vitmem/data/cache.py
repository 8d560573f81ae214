"""Decoded datasets on disk: one safetensors file per dataset, written atomically.

A file's name contains the digest of its source (file contents and settings), so a changed source is decoded anew. A
file contains the digest of its own tensors, so a damaged one is decoded anew too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vitmem.data.sets import ImageData, ImageSet
from vitmem.errors import InputError
from vitmem.files import check_readable, expand, file_digest, write_whole
from vitmem.kfac import state_digest
from vitmem.specs import digest

CACHE_VERSION = 2
EXTRA = "extra."


def file_key(files: Sequence[Path], *settings: Any) -> str:
    """Return a digest of the content of ``files`` in their order, and of ``settings``.

    Modification times are not used: copies keep them, and some file systems round them to seconds.
    """

    def content(file: Path) -> str:
        check_readable(file, "a file of the data set")
        return file_digest(file)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # hashlib releases the interpreter lock
        return digest([CACHE_VERSION, list(pool.map(content, files)), list(settings)])


def cached(cache_dir: Path, name: str, key: str, decode: Callable[[], ImageData]) -> ImageData:
    """Return the dataset cached as ``<name>-<key>.safetensors``, or decode and cache it.

    A damaged cache file is reported in the remarks. Raises InputError when the folder cannot be written; safe for
    several processes at once.
    """
    path = expand(cache_dir) / f"{name}-{key}.safetensors"
    damaged: tuple[str, ...] = ()
    if os.path.exists(path):
        try:
            return _read(path)
        except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError, InputError):
            damaged = (f"cache of '{name}': {path} is damaged; the images are decoded anew",)
    data = decode()
    try:
        _write(path, data)
    except OSError as error:
        raise InputError(
            f"cache of '{name}': cannot write {path}: {error.strerror or error}; give another --cache-dir"
        ) from None
    return replace(data, remarks=(*data.remarks, *damaged))


def _write(path: Path, data: ImageData) -> None:
    tensors: dict[str, Tensor] = {"mean": data.mean, "std": data.std}
    if data.coarse is not None:
        tensors["coarse"] = torch.from_numpy(np.asarray(data.coarse, dtype=np.int64))
    for split, part in (("train", data.train), ("validation", data.validation)):
        assert isinstance(part.images, Tensor)  # streamed images have no cache of pixels
        tensors[f"{split}.images"] = part.images
        tensors[f"{split}.labels"] = part.labels
        tensors[f"{split}.index"] = part.index
        for name, values in part.extra_labels.items():
            tensors[f"{split}.{EXTRA}{name}"] = torch.from_numpy(values.astype(np.int64))
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    metadata = {"name": data.name, "classes": json.dumps(data.classes)}
    metadata["digest"] = _digest(tensors, metadata)

    def save(temporary: Path) -> None:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:  # a full disk raises this, not OSError
            raise OSError(str(error)) from None

    write_whole(path, save)


def _digest(tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
    """Return the digest of the content of a cache file."""
    return digest([state_digest(tensors), metadata["name"], metadata["classes"]])


def _read(path: Path) -> ImageData:
    check_readable(path, "a file of the cache")
    with safe_open(path, framework="pt") as stored:
        metadata = stored.metadata()
        tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 (not a mapping)
    if metadata["digest"] != _digest(tensors, metadata):
        raise ValueError("damaged")
    coarse = tensors.get("coarse")
    return ImageData(
        name=metadata["name"],
        train=_split(tensors, "train"),
        validation=_split(tensors, "validation"),
        classes=tuple(json.loads(metadata["classes"])),
        coarse=None if coarse is None else coarse.numpy(),
        mean=tensors["mean"],
        std=tensors["std"],
    )


def _split(tensors: dict[str, Tensor], split: str) -> ImageSet:
    prefix = f"{split}.{EXTRA}"
    extra = {key.removeprefix(prefix): t.numpy() for key, t in tensors.items() if key.startswith(prefix)}
    return ImageSet(tensors[f"{split}.images"], tensors[f"{split}.labels"], tensors[f"{split}.index"], extra)
