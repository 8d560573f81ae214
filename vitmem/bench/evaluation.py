"""The last stage: edit the trained network, store its predictions, compute the metrics from them.

Stored per-example predictions let a new metric be computed without training and without a GPU.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vitmem.bench.cells import Cell
from vitmem.bench.environment import environment
from vitmem.bench.records import EditRecord
from vitmem.bench.stages import Session, ensure_training, open_session, peak_memory, reset_peak_memory
from vitmem.bench.statistics import collected, ensure_statistics
from vitmem.bench.store import read_json, write_json
from vitmem.edits.base import EditContext, EditResult
from vitmem.errors import VitmemError
from vitmem.kfac import Factors
from vitmem.metrics.measure import AnyPredictions, measure
from vitmem.outcomes import packed
from vitmem.specs import PREDICTIONS, seed_from

HALVES = ("report", "selection")


def ensure_evaluation(session: Session, cell: Cell) -> EditRecord:
    """Edit the trained network and store its predictions, or find both in the store.

    Returns the content of ``result.json``; the predictions are in the same folder.
    """
    folder = session.places.store.make(
        "evaluation",
        cell.evaluation_id,
        lambda folder: _evaluate(session, cell, folder),
        # the unedited network beside an oracle has other weights than this session
        made_from=session.made_from if cell.training.id == session.training.id else None,
    )
    return cast(EditRecord, read_json(folder / "result.json"))


def ensure_unedited(session: Session) -> None:
    """Predict with the unedited network that cells are measured beside, or do nothing when the store has it.

    Of an oracle that is the network which knows nothing, trained here when it is not there yet.
    """
    cell = session.training.unedited
    other = cell.training.id != session.training.id
    if other and not session.places.store.has("evaluation", cell.evaluation_id):
        session = open_session(cell.training, session.places)
        ensure_training(session)
    ensure_evaluation(session, cell)


def ensure_ablated(session: Session, cell: Cell) -> None:
    """Predict images with the matrices edited by ``cell`` at zero; does nothing without edited matrices."""
    if cell.ablated is not None and session.experiment.predicts_ablated:
        ensure_evaluation(session, cell.ablated)


def _evaluate(session: Session, cell: Cell, folder: Path) -> None:
    factors = None if cell.statistics is None else ensure_statistics(session, cell)
    second = None if cell.second is None else ensure_statistics(session, cell.second, kept="second")
    reset_peak_memory(session.device)
    started = time.perf_counter()
    result = _edit(session, cell, factors, second)
    edited_at = time.perf_counter()
    save_file(session.experiment.predict(result.weights), folder / PREDICTIONS)
    record: EditRecord = {
        "layers": {path: report.as_dict() for path, report in result.reports.items()},
        "passes": result.passes,
        "edit_seconds": edited_at - started,
        "evaluate_seconds": time.perf_counter() - edited_at,
        "peak_memory_bytes": peak_memory(session.device),
        "environment": environment(session.device),
    }
    write_json(folder / "result.json", record)


def _edit(session: Session, cell: Cell, factors: Factors | None, second: Factors | None) -> EditResult:
    experiment = session.experiment
    layers = {} if cell.blocks is None else session.layers(cell.blocks, cell.layers)

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
        recollect=None if cell.statistics is None else lambda: collected(session, cell),
    )
    result = cell.edit.entry.edit(context)
    if not isinstance(result, EditResult):
        raise VitmemError(f"method '{cell.method}': expected an EditResult, got {type(result).__name__}")
    return result


@dataclass(frozen=True)
class Measured:
    """The measured part of a row: metrics of both halves, and packed outcomes of the report half."""

    metrics: dict[str, float]
    selection: dict[str, float]
    outcomes: dict[str, str]


def compute_metrics(session: Session, cell: Cell) -> Measured:
    """Compute every metric of ``cell``, compared with the unedited network of the same training.

    Reads the predictions of the cell once and those of the unedited network once per training.
    """
    plain = session.training.unedited
    if session.base is None:
        session.base = _both_halves(session, _stored(session, plain))
    own = session.base if cell.evaluation_id == plain.evaluation_id else _both_halves(session, _stored(session, cell))
    ablated = _ablated(session, cell)
    own = {half: session.experiment.completed(found, ablated.get(half), cell.views) for half, found in own.items()}
    values = {half: measure(own[half], session.base[half]) for half in HALVES}
    became = {name: packed(hits.numpy()) for name, hits in own["report"].outcomes().items()}
    return Measured(values["report"], values["selection"], became)


def _stored(session: Session, cell: Cell) -> dict[str, Tensor]:
    """Return what is stored of ``cell``; logits are converted here, once for both halves."""
    stored = load_file(session.places.store.folder("evaluation", cell.evaluation_id) / PREDICTIONS)
    return {name: tensor.float() if tensor.dtype == torch.float16 else tensor for name, tensor in stored.items()}


def _both_halves(session: Session, stored: Mapping[str, Tensor]) -> dict[str, AnyPredictions]:
    return {half: session.experiment.predictions(stored, half) for half in HALVES}


def _ablated(session: Session, cell: Cell) -> dict[str, AnyPredictions]:
    """Return half -> predictions with the matrices edited by ``cell`` at zero, cached for edits of these matrices."""
    ablated = cell.ablated
    if ablated is None or not session.experiment.predicts_ablated:
        return {}
    if ablated.evaluation_id not in session.ablated:
        session.ablated[ablated.evaluation_id] = _both_halves(session, _stored(session, ablated))
    return session.ablated[ablated.evaluation_id]
