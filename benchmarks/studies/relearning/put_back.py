"""Recovery of other classes after relearning the wrong labels of some classes after an edit. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from vitmem.registry import TABLES
from vitmem.reports.aggregate import Group, Training, at, canonical_text, estimate
from vitmem.reports.columns import MODEL, SEEDS
from vitmem.reports.naming import setting_order, strength_text
from vitmem.reports.render import Cell, Column
from vitmem.reports.report import Report

from .tables import RELEARN, alone, name_of

RECITED = "memorized_class_"
COLUMNS = (
    MODEL,
    Column("after", "after"),
    Column("setting", "its setting"),
    Column("steps", "steps", "count"),
    Column("put_back", "put back"),
    Column("measured", "measured on"),
    Column("cells", "cells", "count"),
    SEEDS,
    Column("before", "memorized before", "percent"),
    Column("memorized", "memorized", "percent"),
    Column("change", "memorized - before", "change"),
    Column("known_before", "known half before", "percent"),
    Column("known", "known half", "percent"),
    Column("known_change", "known half - before", "change"),
    Column("validation_change", "validation - before", "change"),
)
NOTE = (
    "put back: the wrong labels of the selection half that are trained on, beside clean images; memorized: of the "
    "reported half, which nobody put back, the mean over the given classes it is measured on; known half: the same of "
    "the selection half, which was trained on where these classes were put back: whether these came back at all; "
    "before: the edit alone; of several cells, one a class, the mean, seed by seed; cells that were measured before "
    "memorized was, by class, are left out: delete rows.jsonl and run again"
)
# Memorized by given class
ByClass = Mapping[int, float]
Half = Literal["metrics", "selection"]
HALVES: tuple[Half, Half] = ("metrics", "selection")


@TABLES.register("put_back", title="What else comes back with one class", columns=COLUMNS, notes=(NOTE,))
def put_back(report: Report) -> Iterator[tuple[Cell, ...]]:
    """What comes back of the classes that are put back and of the others, for each edit and number of steps."""
    for training in report.trainings:
        found = _alike(training)
        firsts = [_bare(groups[0]) for groups in found]
        for groups in sorted(found, key=partial(_order, report, firsts)):
            inner, first = groups[0].inner, alone(training, groups[0])
            assert inner is not None
            if first is not None and _measured(first):
                name, steps = name_of(report, _bare(groups[0]), firsts), int(groups[0].config["edit"]["steps"])
                head = (report.names.training(training), name, strength_text(inner), steps)
                yield from ((*head, *cells) for cells in _rows(groups, first))


def _alike(training: Training) -> list[list[Group]]:
    """Return the groups of further training on the wrong labels of some classes that differ only in these classes."""
    found: dict[str, list[Group]] = {}
    for group in (g for g in training.probes if g.method == RELEARN and _measured(g)):
        found.setdefault(canonical_text(_bare(group).config), []).append(group)
    return [groups for groups in found.values() if any(map(_classes, groups))]


def _bare(group: Group) -> Group:
    """Return the group without the choice of the relearned labels."""
    edit = {k: v for k, v in group.config["edit"].items() if k not in ("classes", "train_on")}
    return Group({**group.config, "edit": edit}, group.rows)


def _order(report: Report, among: Sequence[Group], groups: Sequence[Group]) -> tuple[Any, ...]:
    """Return a key that sorts by the inner edit as in other tables, then by the number of steps."""
    group = groups[0]
    inner = group.inner
    assert inner is not None
    name = name_of(report, _bare(group), among)
    return report.names.method_order(inner), setting_order(inner), name, group.config["edit"]["steps"]


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
    """Return the means over the relearned classes of each group (``same``), or over the other classes."""
    read = at("metrics", "validation")
    reported, known = (_means(groups, first, same, half) for half in HALVES)
    moved: dict[int, list[float]] = {}
    for group in groups:
        before, after = first.values(read), group.values(read)
        for seed in before.keys() & after.keys():
            moved.setdefault(seed, []).append(after[seed] - before[seed])
    validation = estimate([_mean(moved[seed]) for seed in sorted(moved)])
    return len(groups), len(reported), *_estimates(reported), *_estimates(known), validation


def _estimates(pairs: Sequence[tuple[float, float]]) -> tuple[Cell, Cell, Cell]:
    """Return estimates of before, after and their difference, of a pair (before, after) for each seed."""
    before, after = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return estimate(before), estimate(after), estimate([y - x for x, y in pairs])


def _means(groups: Sequence[Group], first: Group, same: bool, half: Half) -> list[tuple[float, float]]:
    """Return memorized of one ``half`` under ``first`` and under ``groups``, for each seed, means over the classes."""
    found: dict[int, list[tuple[float, float]]] = {}
    for group in groups:
        for seed in group.rows.keys() & first.rows.keys():
            then, now = (_by_class(g.rows[seed][half]) for g in (first, group))
            chosen = [k for k in then.keys() & now.keys() if (k in _classes(group)) == same]
            if chosen:
                pair = _mean([then[k] for k in chosen]), _mean([now[k] for k in chosen])
                found.setdefault(seed, []).append(pair)
    return [(_mean([x for x, _ in pairs]), _mean([y for _, y in pairs])) for _, pairs in sorted(found.items())]


def _classes(group: Group) -> tuple[int, ...]:
    """Return the relearned classes; empty for all or none."""
    return tuple(group.config["edit"].get("classes") or ())


def _measured(group: Group) -> bool:
    """Return whether every row has memorized by class."""
    return all(_by_class(row["metrics"]) for row in group.rows.values())


def _by_class(values: Mapping[str, float]) -> ByClass:
    return {int(k.removeprefix(RECITED)): float(v) for k, v in values.items() if k.startswith(RECITED)}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
