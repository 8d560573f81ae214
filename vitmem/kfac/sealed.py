"""Digests of the content of a tensor file, stored in it and checked when it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vitmem.errors import InputError
from vitmem.files import short_name
from vitmem.parsing import parse_json

DIGESTS, DIGITS = "digests", 16
# Key of the digest of the metadata, beside those of the tensors.
METADATA = ""


def sealed(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, str]:
    """Return ``metadata`` with digests of itself and of each of the ``tensors``, (n, ...) by name."""
    digests = {METADATA: _of_texts(metadata), **{name: _of_tensor(tensor) for name, tensor in tensors.items()}}
    return {**metadata, DIGESTS: json.dumps(digests)}


@dataclass(frozen=True)
class Seal:
    """The stored digests of the tensors and the metadata of the file ``path``."""

    path: Path
    digests: Mapping[str, Any]

    @classmethod
    def of(cls, path: Path, names: set[str], metadata: dict[str, str]) -> Seal:
        """Pop the digests from ``metadata``; raises InputError when it or the tensor ``names`` were modified."""
        # a file without digests is one whose key 'digests' was damaged
        seal = cls(path, mapping(metadata.pop(DIGESTS, "{}"), path))
        if seal.digests.keys() != {METADATA, *names} or seal.digests[METADATA] != _of_texts(metadata):
            raise seal.broken("its header")
        return seal

    def check(self, name: str, tensor: Tensor) -> Tensor:
        """Return ``tensor`` (n, ...), called ``name``; raises InputError when it was modified."""
        if self.digests.get(name) != _of_tensor(tensor):
            raise self.broken(f"'{name}'")
        return tensor

    def broken(self, what: str) -> InputError:
        """Return the error for a modified file."""
        return InputError(f"{short_name(self.path)}: {what} has changed since it was written; make or copy it again")


def mapping(text: str, path: Path) -> dict[str, Any]:
    """Return the mapping in the metadata ``text`` of ``path``; raises InputError for anything else."""
    value = parse_json(text, f"{short_name(path)}: its header")
    if not isinstance(value, dict):
        raise InputError(f"{short_name(path)}: its header: expected a mapping, got {type(value).__name__}")
    return value


def _of_texts(texts: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(texts), sort_keys=True).encode()).hexdigest()[:DIGITS]


def _of_tensor(tensor: Tensor) -> str:
    state = hashlib.sha256(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
    state.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return state.hexdigest()[:DIGITS]
