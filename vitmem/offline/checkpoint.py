"""A model's folder as transformers writes it: config, tokenizer, and weights in one safetensors file or in shards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vitmem.errors import InputError
from vitmem.kfac.stored import Stored, stored_tensors

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
# Other copies of the weights, which an edit would leave as they were.
OTHER_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".gguf", ".onnx", ".index.json")


@dataclass(frozen=True)
class Checkpoint:
    """The ``tensors`` of a ``folder`` by name and the ``shards`` they lie in; nothing but headers is read."""

    folder: Path
    shards: tuple[Path, ...]
    tensors: Mapping[str, Stored]

    @classmethod
    def open(cls, folder: Path) -> Checkpoint:
        """Read the index and headers; raises InputError for a folder without whole weights in safetensors."""
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; expected one with config.json and {WHOLE}, or shards of it")
        if not (folder / "config.json").is_file():
            raise InputError(f"{folder}: no config.json in it; expected a folder that 'save_pretrained' wrote")
        shards = tuple(folder / name for name in _shard_names(folder))
        tensors: dict[str, Stored] = {}
        for shard in shards:
            tensors |= stored_tensors(shard)[0]
        return cls(folder, shards, tensors)

    def weight(self, path: str, prefix: str) -> Stored:
        """Return the weight of the layer ``path``; a base model is stored without the ``prefix`` of its module."""
        names = [f"{path}.weight", f"{path}.weight".removeprefix(f"{prefix}.")]
        for name in names:
            if name in self.tensors:
                return self.tensors[name]
        known = ", ".join(list(self.tensors)[:3])
        raise InputError(
            f"{self.folder}: no tensor '{names[0]}' for layer '{path}'; its tensors are {known}, ...; save the model "
            "again with 'save_pretrained'"
        )

    def copy_to(self, out: Path) -> None:
        """Copy shards, index, config, tokenizer and whatever else lies in the folder, but no other copy of the weights.

        Files are copied by the system: no shard is in memory.
        """
        kept = self.shards if self.shards == (self.folder / WHOLE,) else (*self.shards, self.folder / INDEX)
        for path in sorted(self.folder.iterdir()):
            other = path.name.startswith(".") or path.name.endswith(OTHER_WEIGHTS)
            if path.is_file() and (path in kept or not other):
                shutil.copyfile(path, out / path.name)


def _shard_names(folder: Path) -> list[str]:
    """Return the names of the files that transformers would read, in order."""
    if (folder / WHOLE).is_file():
        return [WHOLE]
    if not (folder / INDEX).is_file():
        raise InputError(
            f"{folder}: expected {WHOLE} or {INDEX}, got neither; pickled weights are not read: load the model and "
            "save it with 'save_pretrained'"
        )
    try:
        names = sorted(set(json.loads((folder / INDEX).read_text())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError) as error:
        raise InputError(f"{folder / INDEX}: not an index of shards ({error}); fetch it again") from None
    outside = [name for name in names if Path(name).name != name]
    if outside:
        raise InputError(f"{folder / INDEX}: expected names of files beside it, got '{outside[0]}'")
    return names
