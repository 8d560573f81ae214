"""A model folder in the format of transformers: config, tokenizer, and weights in one safetensors file or shards."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vitmem.errors import InputError
from vitmem.files import read_text, short_name
from vitmem.kfac.stored import Stored, stored_tensors
from vitmem.parsing import parse_json

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
# Other copies of the weights, which an edit would leave unchanged.
OTHER_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".gguf", ".onnx", ".index.json")


# Names of tensors from which a network computes a weight, or which it adds to its output.
COMPUTED = re.compile(r"\.(lora_\w+|parametrizations|weight_(g|v|orig|mask))(\.|$)")


@dataclass(frozen=True)
class Checkpoint:
    """The ``tensors`` of a ``folder`` by name and their ``shards``; only headers are read."""

    folder: Path
    shards: tuple[Path, ...]
    tensors: Mapping[str, Stored]

    @classmethod
    def open(cls, folder: Path) -> Checkpoint:
        """Read the index and headers.

        Raises InputError for a folder without complete safetensors weights, and for one whose weights are computed from
        others or have an adapter: the network would not use the edited weights alone.
        """
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; expected one with config.json and {WHOLE}, or shards of it")
        config = folder / "config.json"
        if config.exists():
            parse_json(read_text(config, "the config of a model"), short_name(config), "fetch it again")
        else:
            raise InputError(f"{folder}: no config.json in it; expected a folder that 'save_pretrained' wrote")
        shards = tuple(folder / name for name in _shard_names(folder))
        tensors: dict[str, Stored] = {}
        for shard in shards:
            stored = stored_tensors(shard)[0]
            if double := next((name for name in stored if name in tensors), None):
                raise InputError(f"{short_name(shard)}: '{double[:80]}' is in another shard too; fetch them again")
            tensors |= stored
        if shards != (folder / WHOLE,):
            _check_index(folder, tensors)
        _check_own(folder, tensors)
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
        """Copy shards, index, config, tokenizer and all other files of the folder, except other copies of the weights.

        Files are copied by the system, so no shard is in memory.
        """
        kept = self.shards if self.shards == (self.folder / WHOLE,) else (*self.shards, self.folder / INDEX)
        for path in sorted(self.folder.iterdir()):
            other = path.name.startswith(".") or path.name.endswith(OTHER_WEIGHTS)
            if path.is_file() and (path in kept or not other):
                shutil.copyfile(path, out / path.name)


def _shard_names(folder: Path) -> list[str]:
    """Return the names of the weight files that transformers reads, in order."""
    if (folder / WHOLE).is_file():
        return [WHOLE]
    if not (folder / INDEX).is_file():
        raise InputError(
            f"{folder}: expected {WHOLE} or {INDEX}, got neither; pickled weights are not read: load the model and "
            "save it with 'save_pretrained'"
        )
    names = sorted(set(_weight_map(folder).values()))
    outside = [name for name in names if Path(name).name != name]
    if outside:
        raise InputError(f"{short_name(folder / INDEX)}: expected names of files beside it, got '{outside[0][:80]}'")
    return names


def _check_index(folder: Path, tensors: Mapping[str, Stored]) -> None:
    """Raise InputError when a tensor is in another shard than the index says, or in none."""
    places = _weight_map(folder)
    for name in sorted({*places, *tensors}):
        lies = tensors[name].file.name if name in tensors else "no shard"
        if places.get(name) != lies:
            expected = places.get(name, "no shard")[:80]
            raise InputError(
                f"{short_name(folder / INDEX)}: '{name[:80]}' belongs in {expected}, but it is in {lies}; fetch both "
                "again"
            )


def _weight_map(folder: Path) -> dict[str, str]:
    """Return tensor -> shard of the index; raises InputError for an invalid file."""
    file = short_name(folder / INDEX)
    index = parse_json(read_text(folder / INDEX, "an index of shards"), file, "fetch the index again")
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not places or not all(isinstance(name, str) for name in places.values()):
        raise InputError(f"{file}: not an index of shards: expected 'weight_map', names by tensor; fetch it again")
    return places


def _check_own(folder: Path, tensors: Mapping[str, Stored]) -> None:
    """Raise InputError when the network adds to its weights, or computes them from other tensors."""
    computed = next((name for name in tensors if COMPUTED.search(name)), None)
    if computed is None and (folder / "adapter_config.json").exists():
        computed = "adapter_config.json"
    if computed is not None:
        raise InputError(
            f"{short_name(folder)}: '{computed[:80]}' in it: weights are computed from others, or an adapter adds to "
            "them, and an edit would not be what the network computes; merge them and save the model again"
        )
