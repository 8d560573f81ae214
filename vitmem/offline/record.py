"""The record of an edit: its request and the removed part, sufficient to undo it fully or partly.

The record ``edited.json`` and the file ``edited.removed.safetensors`` are beside ``edited.safetensors``. The latter has
each original tensor by its own name, and the factors of its complement (``vitmem.kfac.dial``) as ``<layer>::left`` and
``<layer>::right`` if these are smaller than the edited weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vitmem.errors import InputError, VitmemError, one_line, shown
from vitmem.files import file_digest, read_text, short_name
from vitmem.kfac import Complement, Dial, state_digest
from vitmem.kfac.dial import check_share
from vitmem.kfac.layers import layer_at, put_matrix
from vitmem.models.weights import SAFETENSORS, read_weights, write_weights
from vitmem.offline.output import new_file, unfinished
from vitmem.parsing import parse_json
from vitmem.specs import digest

FORMAT = 1
# Key of the digest of the rest of a record.
DIGEST = "digest"


def beside(out: Path) -> tuple[Path, Path]:
    """Return the paths of the record and of the removed part, beside the checkpoint ``out``."""
    return out.with_suffix(".json"), out.with_suffix(f".removed{SAFETENSORS}")


def check_out(out: Path, *others: Path) -> None:
    """Raise InputError when ``out`` is not the name of a safetensors file, or when it or one of ``others`` exists.

    The ``others`` may be remains of a killed run, which are replaced.
    """
    if out.suffix != SAFETENSORS:
        raise InputError(f"--out: expected a name that ends in {SAFETENSORS}, got {out}")
    for path in (out, *(() if unfinished(out) else others)):
        if path.exists():
            raise InputError(f"--out: {path} exists; give another name or remove it")


def save_removed(path: Path, originals: Mapping[str, Tensor], complements: Mapping[str, Complement]) -> None:
    """Write the original tensors by name, (n, ...) each, and the factors of ``complements``, by layer."""
    tensors = {name: tensor.clone().contiguous() for name, tensor in originals.items()}
    for layer, one in complements.items():
        if one.left is not None:
            tensors |= {f"{layer}::left": one.left, f"{layer}::right": one.right}
    save_file(tensors, path)


@dataclass(frozen=True)
class Record:
    """The record in the file ``path``: ``facts`` as written by ``edit_checkpoint``."""

    path: Path
    facts: Mapping[str, Any]

    @classmethod
    def open(cls, name: Path | str) -> Record:
        """Read the record in the file ``name``; raises InputError when it is missing or invalid."""
        path = Path(name)
        label = short_name(path)
        facts = parse_json(read_text(path, "the record of an edit"), label, "not a complete record of an edit")
        version = facts.get("record") if isinstance(facts, dict) else None
        if version is None:
            raise InputError(f"{label}: no record of an edit (not what 'vitmem edit' writes beside a checkpoint)")
        if version != FORMAT:
            raise InputError(f"{label}: a record of version {shown(version)}, this vitmem reads {FORMAT}")
        written = facts.pop(DIGEST, None)  # older records have none
        if written is not None and written != digest(facts):
            raise InputError(f"{label}: it has changed since 'vitmem edit' wrote it; restore it")
        try:
            files = [facts[x][y] for x in ("input", "output", "removed") for y in ("file", "sha256")]
            layers = [(x["before"], x["after"], x["dial"]["rank"], x["dial"]["of"]) for x in facts["layers"].values()]
            whole = isinstance(facts["request"], dict) and all(isinstance(x, str) for x in files) and bool(layers)
        except (KeyError, TypeError, AttributeError):
            whole = False
        if not whole:
            raise InputError(f"{label}: no record of an edit (not what 'vitmem edit' writes beside a checkpoint)")
        return cls(path, facts)

    def undo(self, out: Path) -> None:
        """Write the unedited checkpoint to ``out``, its tensors bit for bit; raises what ``dial`` raises."""
        self.dial(1.0, out)

    def dial(self, t: float, out: Path) -> None:
        """Write to ``out`` the checkpoint with t W + (1 - t) W' for every edited W, in its dtype.

        No statistics are needed; 0 is the edited checkpoint and 1 the unedited one, bit for bit. Raises InputError for
        a ``t`` outside [0, 1], for an existing ``out``, and when one of the two files beside the record is missing or
        not the one written with it.
        """
        check_share(t)
        check_out(out)
        source, before = read_weights(self._file("output")), self._removed()
        changed = {name: _between(before[name], source.tensors[name], t) for name in before if "::" not in name}
        with new_file(out) as partial:
            written = write_weights(partial, source, changed)
            if t == 1 and written != self.facts["input"]["tensors"]:
                raise VitmemError(f"{self.path}: the result is not the checkpoint that was edited")

    def dialled(self, net: nn.Module) -> Dial:
        """Put both versions into ``net``, loaded from the edited or the unedited checkpoint, and return their dial.

        It starts at 1. Raises InputError when ``net`` has other weights in an edited layer, or a file is missing.
        """
        layers = self.facts["layers"]
        for path, known in layers.items():
            if tensor_digest(layer_at(net, path).get_parameter("weight")) not in (known["before"], known["after"]):
                raise InputError(
                    f"{self.path}: layer '{path}' has neither the weights before the edit nor those after; load one of "
                    "the two checkpoints into the model, and change its type afterwards"
                )
        before, complements = self._removed(), {}
        dense = any(known["dial"]["rank"] is None for known in layers.values())
        edited = read_weights(self._file("output")).tensors if dense else {}
        for path, known in layers.items():
            name = known.get("tensor", f"{path}.weight")
            if known["dial"]["rank"] is None:
                complements[path] = Complement("kept", edited[name].flatten(1))
            else:
                complements[path] = Complement(known["dial"]["of"], before[f"{path}::right"], before[f"{path}::left"])
            put_matrix(layer_at(net, path), before[name].flatten(1))
        return Dial(net, complements)

    def _removed(self) -> dict[str, Tensor]:
        """Return the tensors of the file of the removed part, (n, ...) each."""
        path = self._file("removed")
        try:
            return load_file(path)
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            raise InputError(f"{short_name(path)}: not a whole safetensors file ({one_line(error, 100)})") from None

    def _file(self, what: str) -> Path:
        """Return the file of the ``output`` or the ``removed`` part; raises InputError for another file."""
        path = self.path.parent / Path(self.facts[what]["file"]).name
        if not path.is_file():
            raise InputError(f"{self.path}: {path.name} is not beside it; put it back under this name")
        if file_digest(path) != self.facts[what]["sha256"]:
            raise InputError(f"{path}: not the file that was written with {self.path.name}; restore that one")
        return path


def _between(weight: Tensor, new: Tensor, t: float) -> Tensor:
    """Return t W + (1 - t) W' (n, ...) of two tensors, in their dtype; exact at both ends."""
    if t in (0, 1):  # a sum would turn -0 into 0
        return weight if t else new
    return (t * weight.double() + (1 - t) * new.double()).to(weight.dtype)


def tensor_digest(tensor: Tensor) -> str:
    """Return the SHA-256 of shape, dtype and values of a ``tensor`` (n, ...)."""
    return state_digest({"": tensor})
