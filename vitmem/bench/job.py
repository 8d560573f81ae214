"""A job: the cells of one training, one after another, each ending as a row."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from vitmem.bench.cells import Cell
from vitmem.bench.environment import environment
from vitmem.bench.evaluation import ensure_ablated, ensure_base, ensure_evaluation, measured
from vitmem.bench.plan import Job
from vitmem.bench.stages import Bench, ensure_training, prepare
from vitmem.bench.statistics import statistics_record
from vitmem.bench.store import read_json
from vitmem.bench.subject import Places, Say
from vitmem.bench.vision import VisionSubject
from vitmem.data.view_files import file_sha256, need_view
from vitmem.data.views import load_view, view_folders
from vitmem.errors import DiskFullError, InputError, reason
from vitmem.kfac import find_layers
from vitmem.metrics.versions import measured_as, metric_versions
from vitmem.rows import ROW_SCHEMA

Row = dict[str, Any]


def run_job(job: Job, suite: str, places: Places, say: Say) -> Iterator[Row]:
    """Yield a row for every cell of ``job``; a cell that fails is a row too and the others go on.

    Raises InputError when the data cannot be read, the network cannot be built as the user asked or an
    edit names what it has not, and DiskFullError: nothing has been done then that a second call would not find.
    """
    try:
        bench = prepare(job.training, places, job.cells)
        check_cells(bench, job.cells)
        ensure_training(bench, say)
        ensure_base(bench, say)
    except (InputError, DiskFullError):
        raise
    except (Exception, SystemExit) as error:  # a plug-in's network may call sys.exit
        where = places.store.failed(job.training.id, error)
        for cell in job.cells:
            yield failed_row(cell, suite, f"training: {reason(error)}", where)
        return
    for cell in job.cells:
        try:
            ensure_ablated(bench, cell, say)
            row = _finished_row(bench, cell, suite, ensure_evaluation(bench, cell, say), say)
            places.store.succeeded(cell.id)
        except DiskFullError:
            raise
        except (Exception, SystemExit) as error:
            row = failed_row(cell, suite, reason(error), places.store.failed(cell.id, error))
        yield row


def check_jobs(jobs: Sequence[Job], places: Places) -> None:
    """Raise InputError for any of ``jobs``, as each of them would when it begins, before the first of them is trained.

    Looked at are jobs whose noise, network or oracle none before them has; the first one looks at itself. What fails
    for another reason becomes rows in its own time.
    """
    seen: set[Hashable] = set()
    for number, job in enumerate(jobs):
        one = job.training
        parts: set[Hashable] = {(one.data, one.noise), (one.data, one.model), (one.noise, one.oracle)}
        if number and not parts <= seen:
            try:
                check_cells(prepare(one, places), job.cells)
            except InputError:
                raise
            except (Exception, SystemExit):
                continue
        seen |= parts


def check_cells(bench: Bench, cells: Sequence[Cell]) -> None:
    """Raise InputError before anything is trained when a cell names blocks, layers or positions that are not there.

    The same holds for statistics of more images than there are, or of crops that leave nothing of them, for views
    whose files are missing, belong to another order of the images or leave none of them, and for an oracle that has
    nothing to train on.
    """
    for cell in cells:
        if cell.blocks is not None:
            find_layers(bench.subject.net, bench.subject.patterns(cell.blocks, cell.layers))
        for one in (cell, cell.second):
            if one is not None and one.statistics is not None:
                bench.subject.task(one.statistics)
    if isinstance(bench.subject, VisionSubject):
        bench.subject.trained_on()
        reading = [one for cell in cells for one in (cell, cell.second) if one is not None]
        for request in {one.statistics_id: one.statistics for one in reading}.values():
            if request is not None:
                bench.subject.batches(request)
        _check_views(bench, bench.subject, {view for cell in cells for view in cell.views})


def _check_views(bench: Bench, subject: VisionSubject, views: Collection[str]) -> None:
    """Raise InputError for a view that cannot be read, or that leaves nothing of a half that is measured."""
    seen = subject.noisy.data.validation
    for view in sorted(views):
        left = load_view(view, *_data_place(bench), seen.index, seen.labels)
        for half in ("selection", "report"):
            rows = getattr(subject.halves, f"validation_{half}")
            if left.dtype == torch.bool and not left[rows].any():
                raise InputError(
                    f"view '{view}' leaves none of the {len(rows)} validation images of the {half} half; take more "
                    "validation images, or leave the view out"
                )


def _data_place(bench: Bench) -> tuple[str, list[Path]]:
    """Return the name of the data set and the folders that its files may lie in."""
    name = bench.training.data.name
    return name, view_folders(name, bench.places.data_dir, bench.places.cache_dir)


def failed_row(cell: Cell, suite: str, why: str, traceback: str) -> Row:
    """Return the row of a cell that failed; ``traceback`` is where it lies in the store."""
    return {**_identity(cell, suite), "status": "failed", "reason": why, "traceback": traceback}


def _identity(cell: Cell, suite: str) -> Row:
    ids = {"training": cell.training.id}
    if cell.statistics_id is not None:
        ids["statistics"] = cell.statistics_id
    if cell.second is not None and cell.second.statistics_id is not None:
        ids["second"] = cell.second.statistics_id
    return {"schema": ROW_SCHEMA, "id": cell.id, "suite": suite, "ids": ids, "config": cell.config}


def _finished_row(bench: Bench, cell: Cell, suite: str, result: dict[str, Any], say: Say) -> Row:
    """Join what the stages left in the store into one row of raw numbers."""
    store, facts = bench.places.store, bench.subject.facts()
    stages = {"training": read_json(store.folder("training", cell.training.id) / "training.json")}
    if cell.statistics is not None:
        stages["statistics"] = statistics_record(bench, cell, say)
    costs = {key: result[key] for key in ("edit_seconds", "evaluate_seconds")}
    costs["training_resumed"] = stages["training"]["training_resumed"]
    if "statistics" in stages:
        facts["counts"]["images_per_statistics"] = stages["statistics"]["images"]
        # the moments along the eigenvectors take a pass of their own
        costs["statistics_passes"] = 2 if stages["statistics"]["request"]["moments"] == "eigen" else 1
    costs |= {f"{name}_seconds": stage[f"{name}_seconds"] for name, stage in stages.items()}
    records = {"first": stages.get("statistics")}
    if cell.second is not None:
        records["second"] = found = statistics_record(bench, cell.second, say)
        costs["statistics_seconds"] += found["statistics_seconds"]
        costs["second_passes"] = 1
    everything = {**stages, "edit": result}
    costs |= {f"{name}_peak_bytes": stage["peak_memory_bytes"] for name, stage in everything.items()}
    return {
        **_identity(cell, suite),
        "status": "ok",
        **vars(measured(bench, cell)),
        "metric_versions": metric_versions(measured_as(bench.training.modality)),
        **facts,
        **_sources(records),
        **({"views": _view_files(bench, cell)} if cell.views else {}),
        **({"stopped": stages["training"]["stopped"]} if "stopped" in stages["training"] else {}),
        "edit": {**_edit_totals(result["layers"]), **_told(cell), **_passes(result)},
        "costs": costs,
        # a stage may have been made on another machine than the row
        "environment": result.get("environment") or environment(bench.device),
        "environments": {name: stage["environment"] for name, stage in stages.items() if "environment" in stage},
    }


def _sources(records: Mapping[str, Row | None]) -> Row:
    """Return whose images of other data sets the sets of statistics were collected over: names and digests."""
    found = {name: record["source"] for name, record in records.items() if record and "source" in record}
    return {"sources": found} if found else {}


def _told(cell: Cell) -> Row:
    """Return what the method is told, where it says so, and whether it looks into a network and competes with none."""
    edit = cell.edit.entry
    information = edit.information
    if information == "unlabelled" and _reads_given(cell):
        information = "noisy labels"
    probe = {"probe": True} if edit.role == "diagnostic" else {}
    return probe if information is None or edit.name == "none" else {"information": information, **probe}


def _reads_given(cell: Cell) -> bool:
    """Say whether the given labels of images enter what the edit reads: those of text are the text itself."""
    *_, reading = cell.edit.entry.chain()
    # of the inputs alone; all others rank by gradients, one side of them too: it breaks ties in the basis of the other
    mixed = reading.reads_second and getattr(reading, "side", None) == "both"
    gradients = mixed or getattr(reading, "importance", "foof") != "foof"
    images = cell.training.modality == "image"
    requests = [one for one in (cell.statistics, reading.second_set) if one is not None]
    chosen = any(one.classes is not None or one.without is not None for one in requests)
    return images and (chosen or (gradients and any(one.labels == "given" for one in requests)))


def _view_files(bench: Bench, cell: Cell) -> dict[str, str]:
    """Return digests of the files that the views were read from."""
    return {view: file_sha256(need_view(view, *_data_place(bench))) for view in cell.views}


def _passes(result: dict[str, Any]) -> Row:
    """Return the passes that a method took gradients in, of one that took any."""
    # results of an edit that lie in a store may have been written without them
    return {"passes": result["passes"]} if result.get("passes") else {}


def _edit_totals(layers: dict[str, dict[str, float]]) -> Row:
    """Sum the reports of all edited matrices; the report of each stays beside the totals."""
    if not layers:
        return {"layers": {}}
    reports = layers.values()
    change = sum(r["change_norm"] ** 2 for r in reports) ** 0.5
    weight = sum(r["weight_norm"] ** 2 for r in reports) ** 0.5
    masses = [r["kept_mass"] for r in reports if r.get("kept_mass") is not None]
    totals: Row = {
        "kept_pairs": sum(r["kept_pairs"] for r in reports),
        "total_pairs": sum(r["total_pairs"] for r in reports),
        "relative_change": change / weight,
        "layers": layers,
    }
    if masses:
        totals["kept_mass"] = sum(masses) / len(masses)
    return totals
