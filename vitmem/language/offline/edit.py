"""The curvature edit of a model's files, with one matrix in memory at a time and never the whole model."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vitmem.bench.environment import environment
from vitmem.bench.store import write_json
from vitmem.blocks import Blocks, block_numbers, layer_patterns
from vitmem.errors import InputError, VitmemError
from vitmem.files import file_digest
from vitmem.kfac import Eigen, LayerReport, StoredFactors, edit_lean, eigen_lean, staircase_by_mass, weight_fingerprint
from vitmem.kfac.computed import check_weight_is_used
from vitmem.kfac.find import check_own
from vitmem.kfac.layers import is_conv1d, is_linear, weight_matrix
from vitmem.kfac.stored import Stored
from vitmem.language.models.language_layers import language_blocks
from vitmem.language.models.skeleton import skeleton_of
from vitmem.language.offline.checkpoint import Checkpoint
from vitmem.offline.output import check_new, new_folder
from vitmem.progress import track

log = logging.getLogger(__name__)

RECORD = "vitmem_edit.json"


@dataclass(frozen=True)
class Target:
    """A layer's weight on disk; ``transposed`` if it is stored as Wᵀ (q, p)."""

    path: str
    stored: Stored
    transposed: bool

    def read(self) -> tuple[Tensor, Tensor]:
        """Return the stored tensor, and W (p, q), a view of it."""
        tensor = self.stored.read()
        return tensor, tensor.T if self.transposed else tensor


def edit_folder(
    weights: Path,
    factors: Path,
    out: Path,
    *,
    mass: float,
    blocks: Blocks | None = None,
    layers: Sequence[str] | None = None,
) -> dict[str, LayerReport]:
    """Write to ``out`` the model of the folder ``weights`` with layers edited at ``mass``; return a report for each.

    The edit is that of the method ``kfac``; its layers are those of the ``factors``, optionally restricted to
    ``blocks`` and to matches of ``layers``, patterns inside a block. ``vitmem_edit.json`` is written beside the
    weights. All checks precede writing, and ``out`` appears once complete. Raises InputError when factors and model do
    not match or ``out`` is not empty.
    """
    if not 0 < mass <= 1:
        raise InputError(f"--mass: expected a number in (0, 1], got {mass}")
    check_new(out)
    checkpoint, statistics = Checkpoint.open(weights), StoredFactors.open(factors)
    model = skeleton_of(weights)
    chosen = _chosen(model, statistics, blocks, layers)
    targets = [_target(model, checkpoint, statistics, path) for path in chosen]
    known = [statistics.check_weight(target.path, target.read()[1]) for target in targets]
    if not all(known):
        log.warning(
            f"{factors}: written without digests of the weights; only shapes tell whether they are of this model"
        )
    reports, digests = {}, {}
    with new_folder(out) as partial:
        log.info(f"copying {weights}")
        checkpoint.copy_to(partial)
        for number, target in enumerate(track(targets, "editing", "layers"), 1):
            log.info(f"[{number}/{len(targets)}] {target.path}")
            reports[target.path], digests[target.path] = _edit(target, statistics, mass, partial)
        layers_done = {path: {**report.as_dict(), **digests[path]} for path, report in reports.items()}
        write_json(partial / RECORD, {"mass": mass, "layers": layers_done, **_facts(model, statistics, all(known))})
    return reports


def _chosen(
    model: nn.Module, statistics: StoredFactors, blocks: Blocks | None, layers: Sequence[str] | None
) -> list[str]:
    """Return the paths of the layers to edit; raises InputError for one without statistics."""
    covered = list(statistics.shapes)
    if blocks is None and layers is None:
        return covered
    places = language_blocks(model)
    inside = [n for n, place in enumerate(places) if any(path.startswith(f"{place}.") for path in covered)]
    numbers = inside if blocks is None else block_numbers(blocks, len(places))
    if layers is None:
        bare = [places[n] for n in numbers if n not in inside]
        if bare:
            raise InputError(f"--blocks: no statistics of any layer in '{bare[0]}'; 'vitmem fit' collects them")
        return [path for path in covered if any(path.startswith(f"{places[n]}.") for n in numbers)]
    linear = [path for path, module in model.named_modules() if is_linear(module)]
    chosen = []
    for pattern in layer_patterns(places, layers, numbers):
        matches = [path for path in linear if fnmatchcase(path, pattern)]
        if not matches:
            raise InputError(f"--layers: '{pattern}' matches no linear layer of {type(model).__name__}")
        chosen += [path for path in matches if path not in chosen]
    return chosen


def _target(model: nn.Module, checkpoint: Checkpoint, statistics: StoredFactors, path: str) -> Target:
    """Return the location of a layer's weight; raises InputError when model, file and statistics disagree on it."""
    if path not in statistics.shapes:
        raise InputError(f"factors: no statistics of layer '{path}'; 'vitmem fit' collects them")
    try:
        layer = model.get_submodule(path)
    except AttributeError:
        layer = None
    if layer is None or not is_linear(layer):
        raise InputError(
            f"factors: layer '{path}' is not a linear layer of {type(model).__name__}; they are of another model"
        )
    check_own(model, path)
    check_weight_is_used(model, path)
    p, q = weight_matrix(layer).shape
    if statistics.shapes[path] != (p, q):
        g, a = statistics.shapes[path]
        raise InputError(f"factors: layer '{path}' is {p} x {q}, the statistics are of a {g} x {a} layer")
    stored = checkpoint.weight(path, getattr(model, "base_model_prefix", ""))
    transposed = is_conv1d(layer)
    expected = (q, p) if transposed else (p, q)
    if stored.shape != expected:
        raise InputError(f"{stored.file}: layer '{path}' is stored as {stored.shape}, its config says {expected}")
    return Target(path, stored, transposed)


def _edit(target: Target, statistics: StoredFactors, mass: float, out: Path) -> tuple[LayerReport, Mapping[str, str]]:
    """Edit one matrix and write it into the copy; return its report and the digests before and after."""
    path = target.path
    p, q = statistics.shapes[path]

    def spectrum(side: Literal["a", "g"]) -> Eigen:
        return eigen_lean(lambda: statistics.read(path, side))

    if p >= q:  # the larger one first, while memory is empty
        g, a = spectrum("g"), spectrum("a")
    else:
        a, g = spectrum("a"), spectrum("g")
    staircase = staircase_by_mass(g.values, a.values, mass)
    running = torch.cat([torch.zeros(1, dtype=torch.float64), a.values.cumsum(0)])
    kept = float(g.values @ running[staircase] / (g.values.sum() * a.values.sum()))
    tensor, weight = target.read()
    before = weight_fingerprint(weight)
    report = edit_lean(weight, g.vectors, a.vectors, staircase, kept)
    if not math.isfinite(report.weight_norm + report.change_norm + report.cast_error):
        raise VitmemError(f"layer '{path}': NaN or infinity in its weight or in the edited one")
    target.stored.overwrite(tensor, out / target.stored.file.name)
    return report, {"before": before, "after": weight_fingerprint(weight)}


def _facts(model: nn.Module, statistics: StoredFactors, known: bool) -> dict[str, Any]:
    """Return the record without the layers: method, model, factors, and versions."""
    return {
        "method": "kfac",
        "model_type": getattr(model.config, "model_type", None),
        "factors": {
            "sha256": file_digest(statistics.path),
            "told_by": "weights" if known else "shapes",
            **statistics.metadata,
        },
        "environment": environment(torch.device("cpu")),
    }
