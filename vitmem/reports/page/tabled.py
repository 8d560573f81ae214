"""A table for a page: the text of the other renderers, with the sort value of each cell. Does not import torch."""

from __future__ import annotations

from dataclasses import dataclass

from vitmem.reports.aggregate import Estimate
from vitmem.reports.render import Cell, Table

# Columns that identify a row, kept in sight when a wide table is scrolled.
HEADS = ("id", "method", "stage")
# Columns at the end: a narrow screen shows the measures first.
LAST = ("information", "setting", "seeds")
# Columns that group the rows of a table.
GROUPS = ("model", "allowed_drop", "allowed_change", "match_loss", "outcome")


@dataclass(frozen=True)
class TableCell:
    """The text of a cell; ``value`` is the number to sort by, if any."""

    text: str
    value: str | None


@dataclass(frozen=True)
class TableRow:
    """Cells in order, the head first; ``first`` marks the first row of a group."""

    cells: tuple[TableCell, ...]
    first: bool


@dataclass(frozen=True)
class Head:
    """A column's title, and whether its cells are numbers."""

    title: str
    number: bool


@dataclass(frozen=True)
class Tabled:
    """Columns and rows for the macro of tables, with notes."""

    heads: tuple[Head, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...]


def tabled(table: Table) -> Tabled:
    """Return ``table`` for a page: identifying columns first, settings last, the others in order."""
    table = table.shown
    keys = [column.key for column in table.columns]
    head = next((keys.index(key) for key in HEADS if key in keys), 0)
    others = [n for n in range(len(keys)) if n != head]
    order = [head, *sorted(others, key=lambda n: keys[n] in LAST)]
    groups = [n for n, key in enumerate(keys) if key in GROUPS]
    rows, before = [], None
    for raw, texts in zip(table.rows, table.texts, strict=True):
        group = [raw[n] for n in groups]
        cells = tuple(TableCell(texts[n], _value(raw[n])) for n in order)
        rows.append(TableRow(cells, before is not None and group != before))
        before = group
    heads = (Head(table.columns[n].title, table.columns[n].kind != "text") for n in order)
    return Tabled(tuple(heads), tuple(rows), (*table.said, *table.notes, *table.terms))


def _value(cell: Cell) -> str | None:
    """Return the sort number of a cell; texts are sorted as texts, numbers in them by size."""
    if isinstance(cell, Estimate):
        return repr(cell.mean)
    return str(cell) if isinstance(cell, int) else None
