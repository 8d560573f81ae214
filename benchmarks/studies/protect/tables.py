"""Accuracy of classes left out of the statistics, with and without a second set that protects them. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vitmem.registry import TABLES
from vitmem.reports.aggregate import Config, Group, Training, canonical_text, estimate
from vitmem.reports.columns import METHOD, MODEL, SEEDS, SETTING
from vitmem.reports.naming import setting, setting_order, title_of
from vitmem.reports.render import Cell, Column
from vitmem.reports.report import Report

LEFT_OUT, SECOND = "without", "second"
ALL, BARE = "of all classes", "without the class"
COLUMNS = (
    MODEL,
    SETTING,
    METHOD,
    Column("statistics", "statistics"),
    Column("classes", "classes", "count"),
    SEEDS,
    Column("class", "the class", "percent"),
    Column("class_minus_base", "the class - base", "change"),
    Column("others", "other classes", "percent"),
    Column("others_minus_base", "other classes - base", "change"),
    Column("memorized", "memorized", "percent"),
)
NOTE = (
    "the class: validation accuracy of the class that the statistics are collected without, the mean over the classes "
    "of which this was done, seed by seed; other classes: the mean of their accuracies; of all classes: the same edit "
    "by statistics of all training images, measured on the same classes; images are left out, and protected, by their "
    "given labels"
)


@TABLES.register("protected", title="Classes that the statistics have not seen", columns=COLUMNS, notes=(NOTE,))
def protected(report: Report) -> Iterator[tuple[Cell, ...]]:
    """The accuracy of classes that statistics have not seen, under edits with and without a second set."""
    for training, base in report.judged:
        name = report.names.training(training)
        found: dict[str, list[Group]] = {}
        for group in training.edits:
            if _left_out(group):
                found.setdefault(canonical_text(_bare(group)), []).append(group)
        for groups in sorted(found.values(), key=lambda some: _order(report, some[0])):
            first = groups[0]
            classes = [(_left_out(group), group) for group in groups]
            if (whole := _of_all(training, first)) is not None:
                told = [(left_out, whole) for left_out, _ in classes]
                yield (name, setting(first), _name(first), ALL, *_cells(told, base))
            yield (name, setting(first), _name(first), BARE, *_cells(classes, base))


def _left_out(group: Group) -> tuple[int, ...]:
    """Return the classes left out of the statistics of ``group``."""
    return tuple(group.config.get("statistics", {}).get(LEFT_OUT) or ())


def _bare(group: Group) -> Config:
    """Return the config without the classes left out and protected."""
    statistics = {key: value for key, value in group.config["statistics"].items() if key != LEFT_OUT}
    edit: Mapping[str, Any] = group.config["edit"]
    if isinstance(second := edit.get(SECOND), Mapping) and tuple(second.get("classes") or ()) == _left_out(group):
        edit = {**edit, SECOND: {**second, "classes": "the class"}}
    return {**group.config, "statistics": statistics, "edit": edit}


def _of_all(training: Training, group: Group) -> Group | None:
    """Return the same edit with statistics of all classes; ``None`` if it was not run."""
    wanted = canonical_text(_bare(group))
    return next((g for g in training.edits if not _left_out(g) and canonical_text(g.config) == wanted), None)


def _name(group: Group) -> str:
    edit = group.config["edit"]
    rule = f" {edit['rule']}" if "rule" in edit else ""
    return f"{title_of(group.method)}{rule}"


def _order(report: Report, group: Group) -> tuple[Any, ...]:
    """Return a key that sorts by the setting, then by the method."""
    return setting_order(group), report.names.method_order(group)


def _cells(told: Sequence[tuple[Sequence[int], Group]], base: Group) -> Iterator[Cell]:
    """Yield the counts and the estimates of the groups, each paired with its left-out classes."""
    by_seed: dict[int, list[tuple[float, float, float, float, float]]] = {}
    for classes, group in told:
        for seed in sorted(group.rows.keys() & base.rows.keys()):
            after, before = (_means(one, seed, classes) for one in (group, base))
            memorized = float(group.rows[seed]["metrics"]["memorized"])
            by_seed.setdefault(seed, []).append(
                (after[0], after[0] - before[0], after[1], after[1] - before[1], memorized)
            )
    yield len(told)
    yield len(by_seed)
    for n in range(5):
        yield estimate([math.fsum(one[n] for one in some) / len(some) for some in by_seed.values()])


def _means(group: Group, seed: int, classes: Sequence[int]) -> tuple[float, float]:
    """Return the mean accuracy of ``classes`` and of the others, of one seed."""
    prefix = "validation_class_"
    found = {
        int(key.removeprefix(prefix)): float(value)
        for key, value in group.rows[seed]["metrics"].items()
        if key.startswith(prefix)
    }
    inside = [value for number, value in found.items() if number in classes]
    outside = [value for number, value in found.items() if number not in classes]
    return math.fsum(inside) / max(len(inside), 1), math.fsum(outside) / max(len(outside), 1)
