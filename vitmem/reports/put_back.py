"""What else comes back when the wrong labels of some classes are put back after an edit. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from vitmem.reports.aggregate import Group, Training, at, canonical_text, estimate
from vitmem.reports.content import Report
from vitmem.reports.naming import strength_text
from vitmem.reports.notes import INTERVAL
from vitmem.reports.probes import RELEARN, alone
from vitmem.reports.render import Cell, Column, Table
from vitmem.rows import Row

RECITED = "memorized_class_"
COLUMNS = (
    Column("model", "model"),
    Column("after", "after"),
    Column("setting", "its setting"),
    Column("steps", "steps", "count"),
    Column("put_back", "put back"),
    Column("measured", "measured on"),
    Column("cells", "cells", "count"),
    Column("seeds", "seeds", "count"),
    Column("before", "memorized before", "percent"),
    Column("memorized", "memorized", "percent"),
    Column("change", "memorized - before", "change"),
    Column("validation_change", "validation - before", "change"),
)
NOTE = (
    "put back: the wrong labels of the selection half that are trained on, beside clean images; memorized: of the "
    "reported half, which nobody put back, the mean over the given classes it is measured on; before: the edit alone; "
    "of several cells, one a class, the mean, seed by seed"
)
# Memorized by given class
ByClass = Mapping[int, float]


def has_put_back(trainings: Sequence[Training]) -> bool:
    """Say whether the wrong labels of some classes were put back anywhere."""
    return any(_classes(group) for training in trainings for group in training.probes)


def put_back(report: Report) -> Table:
    """Return, for each edit and number of steps, what comes back of the classes that are put back and of the others."""
    rows: list[tuple[Cell, ...]] = []
    for training in report.trainings:
        for groups in _alike(training):
            inner, first = groups[0].inner, alone(training, groups[0])
            assert inner is not None
            if first is None:
                continue
            steps = int(groups[0].config["edit"]["steps"])
            head = (report.names.training(training), report.names.method(inner), strength_text(inner), steps)
            rows += [(*head, *cells) for cells in _rows(groups, first)]
    return Table(report.about, COLUMNS, tuple(rows), (*report.notes, INTERVAL, NOTE), report.footer)


def _alike(training: Training) -> Iterator[list[Group]]:
    """Yield the groups of training on that differ in what is put back alone, where some classes are."""
    found: dict[str, list[Group]] = {}
    for group in (g for g in training.probes if g.method == RELEARN):
        same = {k: v for k, v in group.config["edit"].items() if k not in ("classes", "train_on")}
        found.setdefault(canonical_text([same, group.config.get("statistics")]), []).append(group)
    yield from (groups for groups in found.values() if any(map(_classes, groups)))


def _rows(groups: Sequence[Group], first: Group) -> Iterator[tuple[Cell, ...]]:
    some = [group for group in groups if _classes(group)]
    told = "one class" if all(len(_classes(group)) == 1 for group in some) else "some classes"
    yield told, "the same", *_cells(some, first, same=True)
    yield told, "the others", *_cells(some, first, same=False)
    for group in groups:
        if not _classes(group):
            what = "all classes" if group.config["edit"]["train_on"] == "given" else "none"
            yield what, "all classes", *_cells([group], first, same=False)


def _cells(groups: Sequence[Group], first: Group, same: bool) -> tuple[Cell, ...]:
    """Return the means over the classes of each group that were put back (``same``), or over the others."""
    before: dict[int, list[float]] = {}
    after: dict[int, list[float]] = {}
    moved: dict[int, list[float]] = {}
    validation = at("metrics", "validation")
    for group in groups:
        for seed in group.rows.keys() & first.rows.keys():
            then, now = (_by_class(g.rows[seed]) for g in (first, group))
            chosen = [k for k in then.keys() & now.keys() if (k in _classes(group)) == same]
            if chosen:
                before.setdefault(seed, []).append(_mean([then[k] for k in chosen]))
                after.setdefault(seed, []).append(_mean([now[k] for k in chosen]))
            values = [validation(g.rows[seed]) for g in (first, group)]
            if values[0] is not None and values[1] is not None:
                moved.setdefault(seed, []).append(values[1] - values[0])
    found = [{seed: _mean(values) for seed, values in sorted(part.items())} for part in (before, after, moved)]
    change = [found[1][seed] - value for seed, value in found[0].items()]
    return (
        len(groups),
        len(found[0]),
        *(estimate(list(v)) for v in (found[0].values(), found[1].values(), change)),
        (estimate(list(found[2].values()))),
    )


def _classes(group: Group) -> tuple[int, ...]:
    """Return the classes that are put back; empty where all are, or none."""
    return tuple(group.config["edit"].get("classes") or ())


def _by_class(row: Row) -> ByClass:
    return {int(k.removeprefix(RECITED)): float(v) for k, v in row["metrics"].items() if k.startswith(RECITED)}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
