"""What a plan will take, from what its like took: costs in rows, and folders in a store. No torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from vitmem.bench.plan import Cell, Config, Plan
from vitmem.specs import digest

# So many of a kind give a mean.
SAMPLES = 20
_DECODER = json.JSONDecoder()
Known = dict[str, list[float]]


@dataclass(frozen=True)
class Costs:
    """What is left to do of a plan: seconds, the peak of memory and bytes in the store, as far as they are known.

    ``trainings`` counts those that are to be trained, ``unknown`` those of them whose time is not known, ``edits`` and
    ``unknown_edits`` the cells likewise. ``peak`` and ``stored`` are ``None`` when nothing is known. ``machine`` is
    where the seconds were taken.
    """

    trainings: int
    unknown: int
    edits: int
    unknown_edits: int
    seconds: float
    peak: float | None
    stored: float | None
    machine: str


def costs(plan: Plan, done: Collection[str], results: Path, store: Path) -> Costs:
    """Return what the cells of ``plan`` that are not ``done`` will take.

    Rows in ``results`` count that are of the same data and network: a training by the same recipe, an edit by the same
    method. The memory is the largest of any of these, the bytes are those of the same in ``store``.
    """
    todo = [cell for cell in plan.cells if cell.id not in done]
    times, peak, machine = _times({_key(cell.config): cell.config for cell in todo}, results)
    trainings = {c.training: c for c in todo if not (store / "training" / c.training).is_dir()}
    statistics = {
        c.statistics: c for c in todo if c.statistics and not (store / "statistics" / c.statistics).is_dir()
    }
    parts = [
        [_mean(times, _recipe_key(c.config)) for c in trainings.values()],
        [_mean(times, _key(c.config) + "statistics") for c in statistics.values()],
        [_mean(times, _key(c.config) + c.config["edit"]["method"]) for c in todo],
    ]
    return Costs(
        len(trainings),
        parts[0].count(None),
        len(todo),
        parts[2].count(None),
        sum(value for part in parts for value in part if value is not None),
        peak,
        _stored(plan, trainings.values(), statistics.values(), todo, store),
        machine,
    )


def _key(config: Config) -> str:
    return digest([config["data"], config["model"]])


def _recipe_key(config: Config) -> str:
    return _key(config) + digest(config["recipe"])


def _mean(known: Known, key: str) -> float | None:
    return fmean(known[key]) if key in known else None


def _times(wanted: dict[str, Config], results: Path) -> tuple[Known, float | None, str]:
    """Return seconds by what took them, the largest peak of memory in bytes, and the machine of one of the rows."""
    times: Known = {}
    peak, machine = None, ""
    for config, cost, line in _rows(results) if wanted else ():
        if (key := _key(config)) not in wanted:
            continue
        peak = max([peak or 0.0, *(float(v) for k, v in cost.items() if k.endswith("_peak_bytes") and v)]) or None
        machine = machine or _machine(line)
        found = {
            key + config["edit"]["method"]: cost.get("edit_seconds", 0.0) + cost.get("evaluate_seconds", 0.0),
            **({} if cost.get("training_resumed") else {_recipe_key(config): cost.get("training_seconds")}),
            key + "statistics": cost.get("statistics_seconds"),
        }
        for name, seconds in found.items():
            if seconds is not None and len(some := times.setdefault(name, [])) < SAMPLES:
                some.append(seconds)
    return times, peak, machine


def _rows(results: Path) -> Iterator[tuple[Config, dict[str, Any], str]]:
    """Yield config, costs and line of the rows of all suites; the rest of a row, most of it, is not parsed."""
    for path in sorted(results.glob("*/rows.jsonl")):
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    config, end = _DECODER.raw_decode(line, len('{"config":'))
                    if line.startswith(',"costs":', end):  # a row that failed has none
                        yield config, _DECODER.raw_decode(line, end + len(',"costs":'))[0], line
                except (ValueError, IndexError):  # 'vitmem tables' says what is wrong with a row
                    continue


def _machine(line: str) -> str:
    environment = json.loads(line).get("environment", {})
    name, threads = environment.get("device_name", "another machine"), environment.get("threads")
    return f"{name}, {threads} threads" if environment.get("device") == "cpu" and threads else str(name)


def _stored(
    plan: Plan, trainings: Iterable[Cell], statistics: Iterable[Cell], todo: Iterable[Cell], store: Path
) -> float | None:
    """Return the bytes that the store will get, by its folders for the same data and network; ``None`` when unknown."""

    def left(stage: str, id_of: Callable[[Cell], str | None], new: Iterable[Cell]) -> float | None:
        sizes: Known = {}
        for cell in plan.cells:
            folder = store / stage / str(id_of(cell))
            if len(some := sizes.get(_key(cell.config), [])) < SAMPLES and folder.is_dir():
                sizes[_key(cell.config)] = [*some, sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())]
        found = [_mean(sizes, _key(cell.config)) for cell in new]
        return None if None in found else sum(size for size in found if size is not None)

    parts = (
        left("training", lambda cell: cell.training, trainings),
        left("statistics", lambda cell: cell.statistics, statistics),
        left("evaluation", lambda cell: cell.evaluation, {cell.evaluation: cell for cell in todo}.values()),
    )
    return None if None in parts else sum(part for part in parts if part is not None)
