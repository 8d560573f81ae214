"""The last stage: edit the trained network, predict every image once, measure from what is stored.

Per-example logits are kept, so a new metric needs no training and no GPU.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vitmem.bench.environment import environment
from vitmem.bench.plan import Cell, base_cell
from vitmem.bench.stages import Bench, Say, ensure_statistics, own, peak_memory, reset_peak_memory
from vitmem.bench.store import read_json, write_json
from vitmem.bench.suite import EditCommon
from vitmem.kfac import Factors, edited, find_layers
from vitmem.methods.base import EditContext, EditResult
from vitmem.metrics.measure import measure
from vitmem.metrics.predictions import Predictions
from vitmem.registry import METHODS
from vitmem.specs import seed_from
from vitmem.training.predict import predict
from vitmem.training.tail import BUDGET_BYTES, Tail, keep_tail


def ensure_evaluation(bench: Bench, cell: Cell, say: Say = print) -> dict[str, Any]:
    """Edit the trained network and predict all images, or read both from the store.

    Returns the content of ``result.json``; the predictions lie beside it (logits as float16).
    """
    folder = bench.places.store.make("evaluation", cell.id, lambda folder: _evaluate(bench, cell, folder, say))
    out: dict[str, Any] = read_json(folder / "result.json")
    return out


def _evaluate(bench: Bench, cell: Cell, folder: Path, say: Say) -> None:
    factors = ensure_statistics(bench, cell, say) if cell.statistics else None
    reset_peak_memory(bench.device)
    started = time.perf_counter()
    result = _edit(bench, cell, factors)
    edited_at = time.perf_counter()
    train_logits, validation_logits = _predict(bench, result.weights)
    save_file(
        {
            "index": bench.noisy.data.train.index.clone(),
            "given": bench.noisy.given.clone(),
            "true": bench.noisy.true.clone(),
            "logits": train_logits,
            "validation_index": bench.noisy.data.validation.index.clone(),
            "validation_true": bench.noisy.data.validation.labels.clone(),
            "validation_logits": validation_logits,
        },
        folder / "predictions.safetensors",
    )
    write_json(
        folder / "result.json",
        {
            "layers": {path: report.as_dict() for path, report in result.reports.items()},
            "edit_seconds": edited_at - started,
            "evaluate_seconds": time.perf_counter() - edited_at,
            "peak_memory_bytes": peak_memory(bench.device),
            "environment": environment(bench.device),
        },
    )


def _edit(bench: Bench, cell: Cell, factors: Factors | None) -> EditResult:
    edit = cell.config["edit"]
    entry = METHODS.get(edit["method"])
    params = entry.parse(own(edit, *EditCommon.model_fields), "edit")
    blocks = edit.get("blocks")
    layers = (
        find_layers(bench.model.net, bench.model.editable(blocks, edit.get("layers"))) if blocks is not None else {}
    )
    context = EditContext(
        model=bench.model.net,
        layers=layers,
        factors=factors,
        seed=seed_from("edit", cell.training, edit["method"]),
        evaluate=lambda weights: _selection_accuracy(bench, weights),
    )
    result: EditResult = entry.load()(context, **params.model_dump())
    return result


def _predict(bench: Bench, weights: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the edited network's logits of all training and validation images as float16, (N, K) and (V, K)."""
    tail = _tail(bench, weights)
    with edited(bench.model.net, weights), tail.replayed() if tail else nullcontext():
        logits = _all_logits(bench)
    count = len(bench.noisy.given)
    return logits[:count].half(), logits[count:].half()


def _all_logits(bench: Bench) -> Tensor:
    """Return the logits of the training images, then of the validation images, (N + V, K)."""
    data = bench.noisy.data
    return torch.cat(
        [
            predict(bench.model.net, images, data.mean, data.std, bench.device, bench.config["recipe"]["precision"])
            for images in (data.train.images, data.validation.images)
        ]
    )


def _tail(bench: Bench, weights: Mapping[str, Tensor]) -> Tail | None:
    """Return what lets a pass start at the first edited block, made when it is first asked for."""
    blocks = bench.model.blocks
    touched = [n for n, block in enumerate(blocks) if any(f"{path}.".startswith(f"{block}.") for path in weights)]
    first = min(touched, default=0)
    if first == 0:
        return None
    if first not in bench.tails:
        if bench.base_logits is None:
            bench.base_logits = _all_logits(bench)
        held = sum(tail.nbytes for tail in bench.tails.values() if tail)
        bench.tails[first] = keep_tail(
            bench.model.net, blocks, first, lambda: _all_logits(bench), bench.base_logits, BUDGET_BYTES - held
        )
    return bench.tails[first]


def _selection_accuracy(bench: Bench, weights: Mapping[str, Tensor]) -> float:
    data, rows = bench.noisy.data, bench.halves.validation_selection
    with edited(bench.model.net, weights):
        logits = predict(
            bench.model.net,
            data.validation.images[rows],
            data.mean,
            data.std,
            bench.device,
            bench.config["recipe"]["precision"],
        )
    return float((logits.argmax(1) == data.validation.labels[rows]).double().mean())


def read_predictions(bench: Bench, cell_id: str, half: str) -> Predictions:
    """Return the stored predictions of a cell, measured on the ``selection`` or the ``report`` half."""
    stored = load_file(bench.places.store.folder("evaluation", cell_id) / "predictions.safetensors")
    return Predictions(
        train_logits=stored["logits"].float(),
        given=stored["given"],
        true=stored["true"],
        noisy_rows=getattr(bench.halves, f"noisy_{half}"),
        validation_logits=stored["validation_logits"].float(),
        validation_true=stored["validation_true"],
        validation_rows=getattr(bench.halves, f"validation_{half}"),
    )


def measured(bench: Bench, cell: Cell, half: str) -> dict[str, float]:
    """Return every metric of ``cell`` on one half, beside the unedited model of the same training."""
    base = read_predictions(bench, base_cell(bench.config).id, half)
    return measure(read_predictions(bench, cell.id, half), base)
