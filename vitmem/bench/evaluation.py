"""The last stage: edit the trained network, predict everything once, measure from what is stored.

Per-example predictions are kept, so a new metric needs no training and no GPU.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from vitmem.bench.cells import Cell
from vitmem.bench.environment import environment
from vitmem.bench.experiment import Say
from vitmem.bench.stages import Bench, ensure_training, peak_memory, prepare, reset_peak_memory
from vitmem.bench.statistics import collected, ensure_statistics
from vitmem.bench.store import read_json, write_json
from vitmem.edits.base import EditContext, EditResult
from vitmem.errors import VitmemError
from vitmem.kfac import Factors, find_layers
from vitmem.metrics.measure import AnyPredictions, measure
from vitmem.metrics.outcomes import outcomes
from vitmem.outcomes import packed
from vitmem.specs import PREDICTIONS, seed_from

HALVES = ("report", "selection")


def ensure_evaluation(bench: Bench, cell: Cell, say: Say = print) -> dict[str, Any]:
    """Edit the trained network and predict everything, or read both from the store.

    Returns the content of ``result.json``; the predictions lie beside it.
    """
    folder = bench.places.store.make(
        "evaluation",
        cell.evaluation_id,
        lambda folder: _evaluate(bench, cell, folder, say),
        say=say,
        # the network that knows nothing, which an oracle is measured beside, has weights of its own
        made_from=bench.made_from if cell.training.id == bench.training.id else None,
    )
    out: dict[str, Any] = read_json(folder / "result.json")
    return out


def ensure_base(bench: Bench, say: Say = print) -> None:
    """Predict with the unedited network that cells are measured beside, or do nothing when the store has it.

    Of an oracle that is the network which knows nothing, trained here when it is not there yet.
    """
    cell = bench.training.unedited
    other = cell.training.id != bench.training.id
    if other and not bench.places.store.has("evaluation", cell.evaluation_id, say):
        bench = prepare(cell.training, bench.places)
        ensure_training(bench, say)
    ensure_evaluation(bench, cell, say)


def ensure_ablated(bench: Bench, cell: Cell, say: Say = print) -> None:
    """Predict images with the matrices that ``cell`` edits at zero; nothing is done when it edits none."""
    if cell.ablated is not None and bench.experiment.predicts_ablated:
        ensure_evaluation(bench, cell.ablated, say)


def _evaluate(bench: Bench, cell: Cell, folder: Path, say: Say) -> None:
    factors = None if cell.statistics is None else ensure_statistics(bench, cell, say)
    second = None if cell.second is None else ensure_statistics(bench, cell.second, say, kept="second")
    reset_peak_memory(bench.device)
    started = time.perf_counter()
    result = _edit(bench, cell, factors, second)
    edited_at = time.perf_counter()
    save_file(bench.experiment.predict(result.weights), folder / PREDICTIONS)
    write_json(
        folder / "result.json",
        {
            "layers": {path: report.as_dict() for path, report in result.reports.items()},
            "passes": result.passes,
            "edit_seconds": edited_at - started,
            "evaluate_seconds": time.perf_counter() - edited_at,
            "peak_memory_bytes": peak_memory(bench.device),
            "environment": environment(bench.device),
        },
    )


def _edit(bench: Bench, cell: Cell, factors: Factors | None, second: Factors | None) -> EditResult:
    experiment = bench.experiment
    layers = {} if cell.blocks is None else find_layers(experiment.net, experiment.patterns(cell.blocks, cell.layers))

    def seed_of(method: str) -> int:
        return seed_from("edit", cell.training.id, method)

    context = EditContext(
        model=experiment.net,
        layers=layers,
        factors=factors,
        second=second,
        seed=seed_of(cell.method),
        evaluate=lambda weights: experiment.selection(weights)[0],
        loss=lambda weights: experiment.selection(weights)[1],
        examples=experiment.examples,
        initial=experiment.initial,
        tied=experiment.tied,
        seed_of=seed_of,
        recollect=None if cell.statistics is None else lambda: collected(bench, cell),
    )
    result = cell.edit.entry.edit(context)
    if not isinstance(result, EditResult):
        raise VitmemError(f"method '{cell.method}': expected an EditResult, got {type(result).__name__}")
    return result


@dataclass(frozen=True)
class Measured:
    """What a row says of its cell's predictions: metrics of both halves, and packed outcomes of the report half."""

    metrics: dict[str, float]
    selection: dict[str, float]
    outcomes: dict[str, str]


def measured(bench: Bench, cell: Cell) -> Measured:
    """Return every metric of ``cell`` beside the unedited network of the same training.

    The predictions of the cell are read once, those of the unedited network once a training.
    """
    plain = bench.training.unedited
    if bench.base is None:
        bench.base = _both_halves(bench, _stored(bench, plain))
    own = bench.base if cell.evaluation_id == plain.evaluation_id else _both_halves(bench, _stored(bench, cell))
    ablated = _ablated(bench, cell)
    own = {half: bench.experiment.completed(found, ablated.get(half), cell.views) for half, found in own.items()}
    values = {half: measure(own[half], bench.base[half]) for half in HALVES}
    became = {name: packed(hits.numpy()) for name, hits in outcomes(own["report"]).items()}
    return Measured(values["report"], values["selection"], became)


def _stored(bench: Bench, cell: Cell) -> dict[str, Tensor]:
    return load_file(bench.places.store.folder("evaluation", cell.evaluation_id) / PREDICTIONS)


def _both_halves(bench: Bench, stored: Mapping[str, Tensor]) -> dict[str, AnyPredictions]:
    return {half: bench.experiment.predictions(stored, half) for half in HALVES}


def _ablated(bench: Bench, cell: Cell) -> dict[str, AnyPredictions]:
    """Return predictions by half without the matrices that ``cell`` edits; they are read once for all its edits."""
    ablated = cell.ablated
    if ablated is None or not bench.experiment.predicts_ablated:
        return {}
    if ablated.evaluation_id not in bench.ablated:
        bench.ablated[ablated.evaluation_id] = _both_halves(bench, _stored(bench, ablated))
    return bench.ablated[ablated.evaluation_id]
