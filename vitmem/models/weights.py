"""Read a classifier's weights from one file, safetensors or a torch checkpoint, without unpickling.

Only tensors are read, with ``weights_only``. Other content (optimizer state, epoch number, weight averages) is ignored
and reported.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from vitmem import kfac as engine
from vitmem.errors import InputError, one_line
from vitmem.files import check_readable, short_name
from vitmem.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


SAFETENSORS, TORCH = ".safetensors", (".pt", ".pth", ".ckpt", ".bin", ".tar")
EXPECTED = f"the weights of a classifier ({SAFETENSORS} or {', '.join(TORCH)})"
# Keys under which training scripts store the state dict of the network, and of its moving average.
PLAIN = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params", "module")
AVERAGED = ("state_dict_ema", "model_ema_state_dict", "model_ema", "ema_state_dict", "ema_model", "ema", "params_ema")
# Maximum nesting depth of a state dict.
DEEPEST = 3


@dataclass(frozen=True)
class Weights:
    """The ``tensors`` of a file by name, (n, ...) each, and the names of the ``left_out`` content."""

    path: Path
    tensors: dict[str, Tensor]
    left_out: tuple[str, ...] = ()


def read_weights(path: Path) -> Weights:
    """Return the tensors of the file ``path``: a state dict, or that of the network in a checkpoint.

    Raises InputError when the file is missing, truncated, of another format, needs code to be run, or has a non-finite
    tensor.
    """
    check_readable(path, EXPECTED)
    if path.suffix == SAFETENSORS:
        weights = Weights(path, _safetensors(path))
    elif path.suffix in TORCH:
        weights = _torch(path)
    else:
        raise InputError(f"{short_name(path)}: expected {EXPECTED}, got '{path.suffix[:20]}'")
    if not weights.tensors:
        raise InputError(f"{short_name(path)}: it has no tensors; expected {EXPECTED}")
    for name, tensor in weights.tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(f"{short_name(path)}: NaN or infinity in '{name}'; was the model trained to the end?")
    return weights


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    engine.stored_tensors(path)  # reports a damaged header
    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        name = short_name(path)
        raise InputError(f"{name}: not a whole safetensors file ({one_line(error)}); save the weights again") from None


def _torch(path: Path) -> Weights:
    """Return the tensors of a checkpoint; raises InputError for one that needs code to be run, naming the code."""
    name = short_name(path)
    _check_sums(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zip, pickle and torch raise their own errors, a flipped byte almost any
        raise InputError(f"{name}: {_why(path, error)}") from None
    if not isinstance(content, Mapping):
        kind = "a single tensor" if isinstance(content, torch.Tensor) else f"a {type(content).__name__}"
        raise InputError(f"{name}: expected a state dict, got {kind}; save net.state_dict()")
    state, left_out = _state_of(content, name, "")
    return Weights(path, {key: value.detach() for key, value in state.items()}, left_out)


def _check_sums(path: Path) -> None:
    """Raise InputError for a torch file with a wrong checksum in a part; torch itself checks none."""
    name, broken = short_name(path), ""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as parts:
                broken = parts.testzip() or ""
    except Exception as error:  # a flipped byte may cause almost any error
        raise InputError(f"{name}: a damaged file of torch ({one_line(error, 80)}); copy or save it again") from None
    if broken:
        raise InputError(
            f"{name}: the checksum of '{broken[-60:]}' in it does not match (damaged, or saved without checksums); "
            "copy or save it again"
        )


def _why(path: Path, error: Exception) -> str:
    """Return why a torch file cannot be read: a class that it needs, damage, or another format."""
    code = re.search(r"GLOBAL ([\w.]+) (?:was not an allowed|whose module)", str(error))
    if code is not None:
        return (
            f"it holds {code[1]}, which needs code to be run, and nothing is unpickled; save net.state_dict() alone, "
            "best as safetensors"
        )
    if "TorchScript" in str(error):
        return "a TorchScript archive, which is code, and no code is run; save net.state_dict()"
    with path.open("rb") as file:
        begin = file.read(64)
    if begin.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the weights; 'git lfs pull' fetches them"
    if not begin:
        return "an empty file"
    if zipfile.is_zipfile(path) or begin[:1] == b"\x80":
        return f"a damaged file of torch ({one_line(error, 80)}); copy or save it again"
    return "not a file of torch.save; save net.state_dict(), best as safetensors"


def _state_of(content: Mapping[Any, Any], where: str, inside: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the state dict in ``content``, tensors by name or nested in a mapping, and the other keys."""
    tensors = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, torch.Tensor)}
    if tensors:
        others = [str(key) for key in content if key not in tensors]
        return tensors, tuple(f"'{inside}{key[:60]}'" for key in others)
    if not content:
        raise InputError(f"{where}: it has no tensors; expected {EXPECTED}")
    states = [key for key in (*PLAIN, *AVERAGED) if isinstance(content.get(key), Mapping) and content[key]]
    if not states or inside.count(".") >= DEEPEST:
        keys = ", ".join(f"'{str(key)[:30]}'" for key in list(content)[:6]) or "none"
        raise InputError(
            f"{where}: expected a state dict, or one under {', '.join(PLAIN[:4])} or the like, got the keys {keys}; "
            "save net.state_dict()"
        )
    taken = states[0]
    state, deeper = _state_of(content[taken], where, f"{inside}{taken}.")
    return state, (*(f"'{inside}{str(key)[:60]}'" for key in content if key != taken), *deeper)


def write_weights(path: Path, source: Weights, changed: Mapping[str, Tensor]) -> str:
    """Write the tensors of ``source`` to ``path`` as safetensors, with those ``changed`` (n, ...) by name.

    Returns the digest of the written tensors. Names are those of the source, prefixes included, so that a script loads
    both in the same way. A safetensors file is copied and only the bytes of the changed tensors are replaced: its order
    and metadata stay.
    """
    from safetensors.torch import load_file, save_file

    if source.path.suffix == SAFETENSORS:
        shutil.copyfile(source.path, path)
    else:  # tensors of a torch file may share storage
        save_file({name: tensor.clone().contiguous() for name, tensor in source.tensors.items()}, path)
    stored, _ = engine.stored_tensors(path)
    for name, tensor in changed.items():
        stored[name].overwrite(tensor, path)
    return engine.state_digest(load_file(path))
