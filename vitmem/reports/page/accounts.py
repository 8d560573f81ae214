"""Costs and environments of a suite, as tables. Does not import torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from vitmem.reports.aggregate import Estimate, Group, Reader, at, estimate
from vitmem.reports.budget import STAGES, hours, hours_text
from vitmem.reports.render import Cell, Column, Table
from vitmem.reports.report import Report, oracles
from vitmem.rows import Row

PEAKS = ("training", "statistics", "edit")
GIB = 2**30
PACKAGES = ("torch", "torchvision", "timm", "lightning", "transformers", "vitmem")
COST_NOTES = (
    "seconds: means over all settings and seeds of a method; trainings and statistics are shared by the cells that "
    "need the same, so rows do not add up to the total",
    "peak memory: the largest of training, statistics and edit, of the process on a processor, of the device on a GPU",
)


def costs(report: Report) -> Table:
    """Return the mean seconds of each stage and the peak memory of each method, by training."""
    columns = (
        Column("model", "model"),
        Column("method", "method"),
        Column("cells", "cells", "count"),
        *(Column(f"{stage}_seconds", f"{stage} s", "seconds") for stage in STAGES),
        Column("peak_memory", "peak memory GiB", "number"),
    )
    rows: list[tuple[Cell, ...]] = []
    for training in report.trainings:
        base = [training.base] if training.base else []
        for groups in (*([group] for group in (*base, *oracles(training))), *report.methods(training)):
            rows.append(_cost(report.names.training(training), report.names.method(groups[0]), groups))
    return Table("costs", report.about, columns, tuple(rows), notes=COST_NOTES)


def _cost(name: str, method: str, groups: list[Group]) -> tuple[Cell, ...]:
    rows = [row for group in groups for row in group.rows.values()]
    means = (_mean(rows, at("costs", f"{stage}_seconds")) for stage in STAGES)
    peaks = [peak for row in rows for stage in PEAKS if (peak := at("costs", f"{stage}_peak_bytes")(row)) is not None]
    most = Estimate(max(peaks) / GIB, None, len(peaks)) if peaks else None
    return name, method, len(rows), *means, most


def _mean(rows: Iterable[Row], read: Reader) -> Estimate | None:
    """Return the mean of ``read``, without an interval: settings are not repetitions."""
    mean = estimate([value for row in rows if (value := read(row)) is not None])
    return None if mean is None else Estimate(mean.mean, None, mean.n)


def total(rows: Iterable[Row]) -> str:
    """Return the hours of all stages, counting each training and set of statistics once, as a sentence."""
    spent = hours(rows)
    return f"Hours of all cells together: {hours_text(spent)}." if spent else ""


def environments(report: Report, rows: Iterable[Row]) -> Table:
    """Return the environment of each stage: device, versions and git state, with the number of stages."""
    counts = Counter(_stages(rows))
    columns = (
        Column("stage", "stage"),
        Column("count", "count", "count"),
        Column("device", "device"),
        Column("python", "python"),
        *(Column(name, name) for name in PACKAGES),
        Column("git", "git"),
    )
    order = {name: n for n, name in enumerate(("training", "statistics", "cell"))}
    ordered = sorted(counts.items(), key=lambda item: (order[item[0][0]], item[0][1:]))
    cells = tuple((stage, count, *(text or None for text in texts)) for (stage, *texts), count in ordered)
    return Table("environments", report.about, columns, cells)


def _stages(rows: Iterable[Row]) -> Iterator[tuple[str, ...]]:
    """Yield the environment of each cell, and of each training and set of statistics that records its own, once."""
    seen = set()
    for row in rows:
        if row.get("environment"):
            yield "cell", *_texts(row["environment"])
        for stage, environment in row.get("environments", {}).items():
            key = stage, row["ids"].get(stage)
            if key not in seen:
                seen.add(key)
                yield stage, *_texts(environment)


def _texts(environment: Mapping[str, Any]) -> tuple[str, ...]:
    device, name, threads = (environment.get(key) for key in ("device", "device_name", "threads"))
    parts = [str(device), str(name) if name else "", f"{threads} threads" if device == "cpu" and threads else ""]
    git = str(environment.get("git") or "")[:10]
    shown = ", ".join(part for part in parts if part)
    versions = (str(environment.get(key) or "") for key in ("python", *PACKAGES))
    return shown, *versions, f"{git}, changed" if git and environment.get("dirty") else git
