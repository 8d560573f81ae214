"""Every setting over its seeds. Does not import torch."""

from __future__ import annotations

from collections.abc import Iterator

from vitmem.registry import TABLES
from vitmem.reports.aggregate import at
from vitmem.reports.columns import EDIT_COLUMNS, HEAD, MEASURED, SEEDS, edited, measured, named, percent
from vitmem.reports.naming import strength_text, where
from vitmem.reports.render import Cell, Column
from vitmem.reports.report import Report

SELECTED = ("memorized", "validation")
COLUMNS = (
    *HEAD,
    Column("blocks", "blocks"),
    Column("strength", "strength"),
    SEEDS,
    *percent(MEASURED),
    *(Column(f"selection_{name}", f"selection {name}", "percent") for name in SELECTED),
    *EDIT_COLUMNS,
)


@TABLES.register(
    "sweep", columns=COLUMNS, notes=("selection: the same on the selection halves, which are used to choose settings",)
)
def sweep(report: Report) -> Iterator[tuple[Cell, ...]]:
    """Every setting of every method, with the measures on the selection halves."""
    for training in report.trainings:
        for group in report.cells(training):
            selection = (group.estimate(at("selection", name)) for name in SELECTED)
            head = (*named(report, training, group), where(group), strength_text(group))
            yield (*head, *measured(group, MEASURED), *selection, *edited(group))
