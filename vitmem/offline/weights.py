"""A classifier's weights in one file: safetensors, or tensors alone by ``torch.save``. Nothing else is unpickled."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vitmem.errors import InputError
from vitmem.kfac import state_digest
from vitmem.kfac.stored import stored_tensors

SAFETENSORS, TORCH = ".safetensors", (".pt", ".pth")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of the file ``path`` by name, (n, ...) each: a state dict, or one under 'state_dict'.

    Raises InputError when the file is missing, torn, of another format, or holds something else than finite tensors.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected the weights of a classifier ({SAFETENSORS}, .pt or .pth)")
    if path.suffix == SAFETENSORS:
        state = _safetensors(path)
    elif path.suffix in TORCH:
        state = _torch(path)
    else:
        raise InputError(f"{path}: expected a file {SAFETENSORS}, .pt or .pth, got '{path.suffix}'")
    if not state:
        raise InputError(f"{path}: it holds no tensors; expected the weights of a classifier")
    for name, tensor in state.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(f"{path}: NaN or infinity in '{name}'; was the model trained to the end?")
    return state


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({error}); save the weights again") from None


def _torch(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, ValueError):
        raise InputError(
            f"{path}: not a file of tensors alone, and nothing else is unpickled; save net.state_dict(), best as "
            "safetensors"
        ) from None
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: expected a state dict, got {type(content).__name__}; save net.state_dict()")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise InputError(
                f"{path}: expected a state dict, or one under 'state_dict'; '{name}' in it is a {type(value).__name__}"
            )
    return {name: value.detach() for name, value in content.items()}


def write_weights(path: Path, source: Path, changed: Mapping[str, Tensor]) -> str:
    """Write to ``path`` the tensors of the file ``source`` as safetensors, with those ``changed`` (n, ...) by name.

    Returns the digest of the tensors that the file has then. A safetensors file is copied and only the bytes of
    the changed tensors are replaced: its order and metadata stay.
    """
    if source.suffix == SAFETENSORS:
        shutil.copyfile(source, path)
    else:  # a file of torch may hold several tensors in one storage
        save_file({name: tensor.clone().contiguous() for name, tensor in read_weights(source).items()}, path)
    stored, _ = stored_tensors(path)
    for name, tensor in changed.items():
        stored[name].overwrite(tensor, path)
    return state_digest(load_file(path))


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
