"""Write an edit: the checkpoint, the removed part and the record, all complete or none."""

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
from vitmem.edits.base import EditResult
from vitmem.files import file_digest
from vitmem.kfac import Complement, complement, state_digest
from vitmem.models.weights import Weights, write_weights
from vitmem.offline.output import new_files
from vitmem.offline.record import DIGEST, FORMAT, Record, beside, save_removed, tensor_digest
from vitmem.offline.request import Request
from vitmem.registry import EDITS, MODELS
from vitmem.specs import canonical, digest


@dataclass(frozen=True)
class Source:
    """The ``weights`` to edit, and the file's name of each edited layer's weight, by layer."""

    weights: Weights
    names: Mapping[str, str]


def write_edit(
    source: Source, out: Path, request: Request, result: EditResult, found: Unlabelled | None, device: torch.device
) -> Record:
    """Write to ``out`` the checkpoint ``source`` with the weights of ``result``, with record and removed part.

    The checkpoint gets its name last. ``device`` is the device of the statistics.
    """
    names, state = source.names, source.weights.tensors
    changed = {names[path]: new.reshape(state[names[path]].shape) for path, new in result.weights.items()}
    originals = {name: state[name] for name in changed}
    complements = {path: complement(originals[names[path]].flatten(1), new) for path, new in result.weights.items()}
    record, removed = beside(out)
    with new_files(out, removed, record) as (partial, partial_removed, partial_record):
        written = write_weights(partial, source.weights, changed)
        save_removed(partial_removed, originals, complements)
        facts = {
            "record": FORMAT,
            "request": canonical(request),
            "versions": {"model": MODELS.get(request.model).version, "method": EDITS.get(request.method).version},
            "input": {
                "file": source.weights.path.name,
                "sha256": file_digest(source.weights.path),
                "tensors": state_digest(state),
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
            "layers": {
                path: _layer(path, names[path], result, originals, changed, one) for path, one in complements.items()
            },
            "environment": environment(device),
        }
        write_json(partial_record, {**facts, DIGEST: digest(facts)})
    return Record(record, facts)


def _images(found: Unlabelled | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"count": len(found.images), "sha256": found.sha256, "left_out": len(found.broken), "labels": "sampled"}


def _layer(
    path: str,
    name: str,
    result: EditResult,
    originals: Mapping[str, Tensor],
    changed: Mapping[str, Tensor],
    one: Complement,
) -> dict[str, Any]:
    """Return the record of one layer: the report, digests, and the size of both versions.

    ``tensor`` is the ``name`` of its weight in the files.
    """
    return {
        "tensor": name,
        **result.reports[path].as_dict(),
        "before": tensor_digest(originals[name]),
        "after": tensor_digest(changed[name]),
        "removed_bytes": originals[name].nbytes,
        "dial": {"of": one.of, "rank": one.rank, "bytes": one.bytes},
    }
