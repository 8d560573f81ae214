"""A row: the results of a cell's stages in the store, as raw numbers in one record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from vitmem.bench.cells import Cell
from vitmem.bench.environment import environment
from vitmem.bench.evaluation import compute_metrics
from vitmem.bench.records import Cost, EditRecord, StatisticsRecord, TrainingRecord
from vitmem.bench.stages import Session
from vitmem.bench.statistics import statistics_record
from vitmem.bench.store import read_json
from vitmem.data.view_files import file_sha256, need_view
from vitmem.data.views import view_folders
from vitmem.entries import Information
from vitmem.metrics.versions import metric_versions, predictions_kind
from vitmem.row_schema import EditReport, Ids, RowConfig
from vitmem.rows import ROW_SCHEMA, Row


def failed_row(cell: Cell, suite: str, why: str, traceback: str) -> Row:
    """Return the row of a failed cell; ``traceback`` is the path of its traceback in the store."""
    return {**_identity(cell, suite), "status": "failed", "reason": why, "traceback": traceback}


def finished_row(session: Session, cell: Cell, suite: str, result: EditRecord) -> Row:
    """Return the row of a finished cell from its stages in the store; ``result`` is that of ``ensure_evaluation``."""
    stages = _stages(session, cell, result)
    facts, found = session.experiment.metadata(), compute_metrics(session, cell)
    if stages.statistics is not None:
        facts["counts"]["images_per_statistics"] = stages.statistics["images"]
    row: Row = {
        **_identity(cell, suite),
        "status": "ok",
        "metrics": found.metrics,
        "selection": found.selection,
        "outcomes": found.outcomes,
        "metric_versions": metric_versions(predictions_kind(session.training.data.entry)),
        "counts": facts["counts"],
        "data": facts["data"],
        "edit": _edit_report(cell, result),
        "costs": stages.costs(),
        # the machine of a stage may differ from that of the row
        "environment": result.get("environment") or environment(session.device),
        "environments": stages.environments(),
    }
    if "noise" in facts:
        row["noise"] = facts["noise"]
    if sources := stages.sources():
        row["sources"] = sources
    if cell.views:
        row["views"] = _view_files(session, cell)
    if "stopped" in stages.training:
        row["stopped"] = stages.training["stopped"]
    return row


@dataclass(frozen=True)
class Stages:
    """The records of a cell's stages; ``second`` is that of the second set of statistics."""

    training: TrainingRecord
    statistics: StatisticsRecord | None
    second: StatisticsRecord | None
    edit: EditRecord

    def costs(self) -> dict[str, float]:
        """Return seconds and peak memory in bytes of the stages, and the number of passes of the statistics."""
        costs: dict[str, float] = {
            "training_seconds": self.training["training_seconds"],
            "training_resumed": self.training["training_resumed"],
            "training_peak_bytes": self.training["peak_memory_bytes"],
            "edit_seconds": self.edit["edit_seconds"],
            "evaluate_seconds": self.edit["evaluate_seconds"],
            "edit_peak_bytes": self.edit["peak_memory_bytes"],
        }
        if self.statistics is not None:
            # the moments along the eigenvectors need a second pass
            costs["statistics_passes"] = 2 if self.statistics["request"]["moments"] == "eigen" else 1
            costs["statistics_seconds"] = self.statistics["statistics_seconds"]
            costs["statistics_peak_bytes"] = self.statistics["peak_memory_bytes"]
            if self.second is not None:
                costs["statistics_seconds"] += self.second["statistics_seconds"]
                costs["second_passes"] = 1
        return costs

    def environments(self) -> dict[str, dict[str, Any]]:
        """Return versions and device of training and statistics, by name."""
        stages: dict[str, Cost | None] = {"training": self.training, "statistics": self.statistics}
        return {name: stage["environment"] for name, stage in stages.items() if stage and "environment" in stage}

    def sources(self) -> dict[str, dict[str, str]]:
        """Return names and digests of the other data sets of the statistics."""
        sets = {"first": self.statistics, "second": self.second}
        return {name: record["source"] for name, record in sets.items() if record and "source" in record}


def _stages(session: Session, cell: Cell, edit: EditRecord) -> Stages:
    training = read_json(session.places.store.folder("training", cell.training.id) / "training.json")
    statistics = None if cell.statistics is None else statistics_record(session, cell)
    second = None if cell.second is None else statistics_record(session, cell.second)
    return Stages(training, statistics, second, edit)


def _identity(cell: Cell, suite: str) -> Row:
    """Return the common fields of finished and failed rows of a cell."""
    ids: Ids = {"training": cell.training.id}
    if cell.statistics_id is not None:
        ids["statistics"] = cell.statistics_id
    if cell.second is not None and cell.second.statistics_id is not None:
        ids["second"] = cell.second.statistics_id
    config = cast(RowConfig, cell.config)
    return {"schema": ROW_SCHEMA, "id": cell.id, "suite": suite, "status": "ok", "ids": ids, "config": config}


def _view_files(session: Session, cell: Cell) -> dict[str, str]:
    """Return view -> digest of its file."""
    name = session.training.data.name
    folders = view_folders(name, session.places.data_dir, session.places.cache_dir)
    return {view: file_sha256(need_view(view, name, folders)) for view in cell.views}


def _edit_report(cell: Cell, result: EditRecord) -> EditReport:
    """Return totals over the edited matrices, the report of each, and the information of the method."""
    report = _totals(result["layers"])
    if cell.edit.entry.role == "diagnostic":
        report["probe"] = True
    if (information := _information(cell)) is not None and cell.method != "none":
        report["information"] = information
    # older results in a store have no passes
    if passes := result.get("passes"):
        report["passes"] = passes
    return report


def _totals(layers: dict[str, dict[str, float]]) -> EditReport:
    if not layers:
        return {"layers": {}}
    reports = layers.values()
    change = sum(r["change_norm"] ** 2 for r in reports) ** 0.5
    weight = sum(r["weight_norm"] ** 2 for r in reports) ** 0.5
    masses = [r["kept_mass"] for r in reports if r.get("kept_mass") is not None]
    totals: EditReport = {
        "kept_pairs": sum(int(r["kept_pairs"]) for r in reports),
        "total_pairs": sum(int(r["total_pairs"]) for r in reports),
        "relative_change": change / weight,
        "layers": layers,
    }
    if masses:
        totals["kept_mass"] = sum(masses) / len(masses)
    return totals


def _information(cell: Cell) -> Information | None:
    """Return the class of information of the method, ``None`` if it declares none."""
    information = cell.edit.entry.information
    return "noisy labels" if information == "unlabelled" and _reads_given(cell) else information


def _reads_given(cell: Cell) -> bool:
    """Return whether the edit depends on the given labels of images; the labels of text are the text itself."""
    *_, reading = cell.edit.entry.chain()
    # only FOOF uses inputs alone; the others rank by gradients, even with one side, which breaks ties by the other
    mixed = reading.reads_second and getattr(reading, "side", None) == "both"
    gradients = mixed or getattr(reading, "importance", "foof") != "foof"
    images = cell.training.protocol == "image"
    requests = [one for one in (cell.statistics, reading.second_set) if one is not None]
    chosen = any(one.classes is not None or one.without is not None for one in requests)
    return images and (chosen or (gradients and any(one.labels == "given" for one in requests)))
