"""Writing an edit: the checkpoint, what was removed and the record, none of which is there before all are whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vitmem.bench.environment import environment
from vitmem.bench.store import write_json
from vitmem.data.unlabelled import Unlabelled
from vitmem.kfac import Complement, complement, state_digest
from vitmem.methods.base import EditResult
from vitmem.offline.output import new_file
from vitmem.offline.record import FORMAT, Record, beside, save_removed, tensor_digest
from vitmem.offline.request import Request, method_of
from vitmem.offline.weights import file_digest, write_weights
from vitmem.registry import MODELS
from vitmem.specs import canonical


@dataclass(frozen=True)
class Source:
    """The file that is edited, and its tensors by name."""

    path: Path
    state: Mapping[str, Tensor]


def write_edit(
    source: Source, out: Path, request: Request, result: EditResult, found: Unlabelled | None, device: torch.device
) -> Record:
    """Write to ``out`` the checkpoint ``source`` with the weights of ``result``, and record and removed part beside it.

    The checkpoint gets its name last. ``device`` is where the statistics were collected.
    """
    names = {path: f"{path}.weight" for path in result.weights}
    changed = {names[path]: new.reshape(source.state[names[path]].shape) for path, new in result.weights.items()}
    originals = {name: source.state[name] for name in changed}
    complements = {path: complement(originals[names[path]].flatten(1), new) for path, new in result.weights.items()}
    record, removed = beside(out)
    with new_file(out) as partial, new_file(record) as partial_record, new_file(removed) as partial_removed:
        written = write_weights(partial, source.path, changed)
        save_removed(partial_removed, originals, complements)
        facts = {
            "record": FORMAT,
            "request": canonical(request),
            "versions": {"model": MODELS.get(request.model).version, "method": method_of(request.method).version},
            "input": {
                "file": source.path.name,
                "sha256": file_digest(source.path),
                "tensors": state_digest(source.state),
            },
            "output": {
                "file": out.name,
                "sha256": file_digest(partial),
                "tensors": written,
            },
            "removed": {
                "file": removed.name,
                "sha256": file_digest(partial_removed),
                "bytes": partial_removed.stat().st_size,
            },
            "images": _images(found),
            "layers": {path: _layer(path, result, originals, changed, complements[path]) for path in result.weights},
            "environment": environment(device),
        }
        write_json(partial_record, facts)
    return Record(record, facts)


def _images(found: Unlabelled | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"count": len(found.images), "sha256": found.sha256, "left_out": len(found.broken), "labels": "sampled"}


def _layer(
    path: str, result: EditResult, originals: Mapping[str, Tensor], changed: Mapping[str, Tensor], one: Complement
) -> dict[str, Any]:
    """Return what the record says of one layer: the report, digests, and what both versions of it cost."""
    name = f"{path}.weight"
    return {
        **result.reports[path].as_dict(),
        "before": tensor_digest(originals[name]),
        "after": tensor_digest(changed[name]),
        "removed_bytes": originals[name].nbytes,
        "dial": {"of": one.of, "rank": one.rank, "bytes": one.bytes},
    }
