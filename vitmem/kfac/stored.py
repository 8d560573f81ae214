"""Tensors of a safetensors file by byte range: read or overwritten one at a time, leaving the rest untouched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vitmem.errors import InputError, one_line
from vitmem.files import check_readable, short_name
from vitmem.parsing import parse_json

# The format's names of the types that an edit supports.
DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}


@dataclass(frozen=True)
class Stored:
    """Location of a tensor: its ``file``, the format's name of its dtype, its shape and its first byte."""

    file: Path
    kind: str
    shape: tuple[int, ...]
    start: int

    def read(self) -> Tensor:
        """Return a copy of the tensor (n, ...); raises InputError when its dtype is not a plain float.

        Read, not mapped: mapped pages count as memory of the process.
        """
        if self.kind not in DTYPES:
            raise InputError(f"{self.file}: expected a tensor of type {', '.join(DTYPES)}, got {self.kind}")
        out = torch.empty(self.shape, dtype=DTYPES[self.kind])
        with self.file.open("rb") as file:
            file.seek(self.start)
            if file.readinto(_bytes(out)) != out.nbytes:
                raise InputError(f"{self.file}: it ends inside a tensor; fetch or write the file again")
        return out

    def overwrite(self, tensor: Tensor, file: Path) -> None:
        """Write ``tensor`` (n, ...), of the same shape and dtype, over this one in ``file``, a separate copy."""
        assert tensor.shape == self.shape and tensor.dtype == DTYPES[self.kind]
        with file.open("r+b") as handle:
            handle.seek(self.start)
            handle.write(_bytes(tensor.contiguous()))


def _bytes(tensor: Tensor) -> memoryview:
    """Return the bytes of a contiguous tensor as a view."""
    return tensor.flatten().view(torch.uint8).numpy().data


def stored_tensors(path: Path) -> tuple[dict[str, Stored], dict[str, str]]:
    """Return the tensors of the safetensors file ``path`` by name, and its metadata, reading only its header.

    Raises InputError when the file is missing, truncated or of another format.
    """
    check_readable(path, "a safetensors file")
    name = short_name(path)
    try:
        with safe_open(path, framework="pt"):  # checks the header, the ranges in it and the length of the file
            pass
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            text = file.read(size).decode()
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{name}: not a whole safetensors file ({one_line(error, 100)}); copy it again") from None
    header: dict[str, Any] = parse_json(text, f"{name}: its header", "copy or make the file again")
    metadata = header.pop("__metadata__", {})
    begin = 8 + size
    tensors = {
        name: Stored(path, entry["dtype"], tuple(entry["shape"]), begin + entry["data_offsets"][0])
        for name, entry in header.items()
    }
    return tensors, metadata
