"""Cost estimates of a plan from the cost of similar cells: costs in rows, and folders in a store. No torch."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from vitmem.bench.cells import Cell
from vitmem.bench.ids import Config
from vitmem.bench.plan import Plan
from vitmem.specs import digest

# Largest number of samples in a mean.
SAMPLES = 20
_DECODER = json.JSONDecoder()
Known = dict[str, list[float]]


@dataclass(frozen=True)
class Costs:
    """Estimated cost of the remaining cells of a plan: seconds, peak memory in bytes, and bytes in the store.

    ``trainings`` is the number of missing trainings, ``unknown`` the number of these without a time estimate; ``edits``
    and ``unknown_edits`` are the same for cells. ``peak`` and ``stored`` are ``None`` without an estimate. ``machine``
    is the machine of the measured seconds.
    """

    trainings: int
    unknown: int
    edits: int
    unknown_edits: int
    seconds: float
    peak: float | None
    stored: float | None
    machine: str


@dataclass
class Measured:
    """Costs by kind that were measured: seconds, bytes in a stage's folder by stage, the peak of memory in bytes."""

    times: Known = field(default_factory=dict)
    stored: dict[tuple[str, str], float] = field(default_factory=dict)
    peak: float | None = None
    machine: str = ""


def costs(plan: Plan, done: Collection[str], results: Path, store: Path, measured: Measured | None = None) -> Costs:
    """Estimate the cost of the cells of ``plan`` that are not ``done`` (cell ids).

    Seconds are means over rows in ``results`` with the same data and network, and the same recipe (trainings) or
    method (edits). Memory is the largest of these rows; bytes are means over similar folders in ``store``. Costs
    ``measured`` on this machine replace those of rows.
    """
    todo = [cell for cell in plan.cells if cell.id not in done]
    kinds = {training.id: kind_of(training.config) for training in {cell.training for cell in plan.cells}}
    times, peak, machine = _times({kinds[cell.training.id] for cell in todo}, results)
    known: dict[tuple[str, str], float] = {}
    if measured is not None:
        times, peak, machine, known = measured.times, measured.peak, measured.machine, measured.stored
    trainings = _new({c.training.id: c for c in todo}, store / "training")
    statistics = _new({c.statistics_id: c for c in todo if c.statistics_id}, store / "statistics")
    parts = [
        [_mean(times, recipe_of(c.training.config)) for c in trainings],
        [_mean(times, kinds[c.training.id] + "statistics") for c in statistics],
        [_mean(times, kinds[c.training.id] + c.method) for c in todo],
    ]
    evaluations = {cell.evaluation_id: cell for cell in todo}.values()
    stored = (
        _stored(store / "training", kinds, {c.training.id: c for c in plan.cells}, trainings, known),
        _stored(
            store / "statistics", kinds, {c.statistics_id: c for c in plan.cells if c.statistics_id}, statistics, known
        ),
        _stored(store / "evaluation", kinds, {c.evaluation_id: c for c in plan.cells}, evaluations, known),
    )
    return Costs(
        len(trainings),
        parts[0].count(None),
        len(todo),
        parts[2].count(None),
        sum(value for part in parts for value in part if value is not None),
        peak,
        None if None in stored else sum(part for part in stored if part is not None),
        machine,
    )


def _new(cells: dict[str, Cell], folder: Path) -> list[Cell]:
    """Return the cells without a folder in ``folder``."""
    return [cell for id, cell in cells.items() if not (folder / id).is_dir()]


def kind_of(config: Config) -> str:
    """Return the digest of the data set and the network of a training."""
    return digest([config["data"], config["model"]])


def recipe_of(config: Config) -> str:
    """Return the digest of the data set, the network and the recipe of a training."""
    return kind_of(config) + digest(config["recipe"])


def _mean(known: Known, key: str) -> float | None:
    return fmean(known[key]) if key in known else None


def _times(wanted: Collection[str], results: Path) -> tuple[Known, float | None, str]:
    """Return the seconds by key, the largest peak memory in bytes, and the machine of one of the rows."""
    times: Known = {}
    peak, machine = None, ""
    for config, cost, line in _rows(results) if wanted else ():
        if (key := kind_of(config)) not in wanted:
            continue
        peak = max([peak or 0.0, *(float(v) for k, v in cost.items() if k.endswith("_peak_bytes") and v)]) or None
        machine = machine or _machine(line)
        found = {
            key + config["edit"]["method"]: cost.get("edit_seconds", 0.0) + cost.get("evaluate_seconds", 0.0),
            **({} if cost.get("training_resumed") else {recipe_of(config): cost.get("training_seconds")}),
            key + "statistics": cost.get("statistics_seconds"),
        }
        for name, seconds in found.items():
            if seconds is not None and len(some := times.setdefault(name, [])) < SAMPLES:
                some.append(seconds)
    return times, peak, machine


def _rows(results: Path) -> Iterator[tuple[Config, dict[str, Any], str]]:
    """Yield config, costs and line of the rows of all suites, without parsing the rest of a row."""
    for path in sorted(results.glob("*/rows.jsonl")):
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    config, end = _DECODER.raw_decode(line, len('{"config":'))
                    if line.startswith(',"costs":', end):  # failed rows have no costs
                        yield config, _DECODER.raw_decode(line, end + len(',"costs":'))[0], line
                except (ValueError, IndexError):  # 'vitmem tables' reports invalid rows
                    continue


def _machine(line: str) -> str:
    environment = json.loads(line).get("environment", {})
    name, threads = environment.get("device_name", "another machine"), environment.get("threads")
    return f"{name}, {threads} threads" if environment.get("device") == "cpu" and threads else str(name)


def _stored(
    folder: Path,
    kinds: dict[str, str],
    cells: dict[str, Cell],
    new: Collection[Cell],
    measured: Mapping[tuple[str, str], float],
) -> float | None:
    """Estimate the bytes of ``new`` cells in ``folder``, as ``measured`` or from the folders of other ``cells`` there.

    ``kinds`` maps training ids to kinds; ``None`` if a kind of ``new`` is unknown.
    """
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    sizes: Known = {kind: [size] for (stage, kind), size in measured.items() if stage == folder.name}
    for id in there & set(cells):
        if len(some := sizes.setdefault(kinds[cells[id].training.id], [])) < SAMPLES:
            some.append(sum(f.stat().st_size for f in (folder / id).rglob("*") if f.is_file()))
    found = [_mean(sizes, kinds[cell.training.id]) for cell in new]
    return None if None in found else sum(size for size in found if size is not None)
