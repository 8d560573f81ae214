"""What ``vitmem bands`` writes: how strongly memorized and other examples enter each layer, by band of its spectrum."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vitmem.bench.job import check_cells
from vitmem.bench.plan import Cell, Plan, statistics_request
from vitmem.bench.stages import Bench, ensure_statistics, ensure_training, prepare
from vitmem.bench.store import guard_disk
from vitmem.bench.subject import Places, Say
from vitmem.errors import InputError
from vitmem.kfac import find_layers
from vitmem.kfac.bands import band_norms, compare_bands
from vitmem.kfac.capture import entering
from vitmem.kfac.modes import evaluating

Row = dict[str, Any]
# Examples of each of the two sets at most, and how many go through the network at a time.
EXAMPLES, BATCH = 400, 8


def write_bands(plan: Plan, places: Places, results: Path, say: Say = print) -> Path:
    """Measure the bands of every training of ``plan`` and return the path of ``<results>/<suite>/bands.csv``.

    Trainings and statistics are read from the store, or made when it has none. Raises InputError when no cell
    of the suite reads statistics.
    """
    rows: list[Row] = []
    for job in plan.jobs():
        cells = [cell for cell in job.cells if cell.statistics is not None]
        if not cells:
            continue
        # statistics of all editable layers where there are any
        cell = min(cells, key=lambda cell: cell.config["edit"].get("layers") is not None)
        say(job.label)
        bench = prepare(job.config, places)
        check_cells(bench, [cell])
        ensure_training(bench, say)
        rows += training_bands(bench, cell, say)
    if not rows:
        raise InputError(f"suite '{plan.suite.name}': no cell reads statistics; add an edit such as {{method: kfac}}")
    return _write(results / plan.suite.name / "bands.csv", rows)


def training_bands(bench: Bench, cell: Cell, say: Say = print) -> Iterator[Row]:
    """Yield a row for each band of each layer that the statistics of ``cell`` cover.

    Compared are the examples to forget and those to keep that methods are told of: what is there to be memorized
    on the selection half, and as many others that were trained on.
    """
    request = statistics_request(cell.config) or {}
    factors = ensure_statistics(bench, cell, say)
    layers = find_layers(bench.subject.net, bench.subject.patterns("all", request.get("layers")))
    examples = bench.subject.examples()
    count = min(EXAMPLES, len(examples.forget[0]), len(examples.keep[0]))
    vectors = {path: factors.layers[path].eigen_a.vectors for path in layers}
    sets = [_norms(bench, request, layers, vectors, pair, count) for pair in (examples.forget, examples.keep)]
    for path in layers:
        memorized, other = (norms[path] for norms in sets)
        for band in compare_bands(memorized, other, len(vectors[path])):
            yield {
                "training": cell.training,
                "model": cell.config["model"]["name"],
                "seed": cell.config["seed"],
                "layer": path,
                "from": band.low,
                "to": band.high,
                "vectors": band.vectors,
                "ratio": band.ratio,
                "memorized_norm": band.norms[0],
                "other_norm": band.norms[1],
                "memorized_share": band.shares[0],
                "other_share": band.shares[1],
                "memorized_positions": len(memorized),
                "other_positions": len(other),
            }


@torch.no_grad()
def _norms(
    bench: Bench,
    request: Mapping[str, Any],
    layers: Mapping[str, nn.Module],
    vectors: Mapping[str, Tensor],
    pair: tuple[Tensor, Tensor],
    count: int,
) -> dict[str, Tensor]:
    """Return the norms (n, B) by path of the positions that count in the first ``count`` examples of a set."""
    task, _ = bench.subject.task(dict(request))
    found: dict[str, list[Tensor]] = {path: [] for path in layers}
    with evaluating(bench.subject.net):
        for inputs, labels in zip(*(part[:count].split(BATCH) for part in pair), strict=True):
            batch = bench.subject.batch(inputs, labels)

            def see(path: str, activation: Tensor, batch: Any = batch) -> None:
                found[path].append(band_norms(vectors[path], task.rows(activation, batch)))

            with entering(layers, see):
                task.features(bench.subject.net, batch)
    return {path: torch.cat(parts) for path, parts in found.items()}


def _write(path: Path, rows: list[Row]) -> Path:
    with guard_disk(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".tmp")
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        os.replace(temporary, path)
    return path
