"""A table for a page: the text of the other renderers, with the sort value of each cell. Does not import torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vitmem.reports.aggregate import Estimate
from vitmem.reports.columns import MEASURED
from vitmem.reports.render import Cell, Table

# Columns that identify a row, kept in sight when a wide table is scrolled.
HEADS = ("id", "method", "stage")
# Columns that group the rows of a table, and those that say the setting: before the measures.
GROUPS = ("model", "allowed_drop", "allowed_change", "match_loss", "outcome")
SETTING = ("setting", "blocks", "strength")
# Columns after the measures, and at the end.
INFORMATION = ("information",)
LAST = ("seeds",)
# A longer table scrolls in a box of its own.
LONGEST = 60


@dataclass(frozen=True)
class TableCell:
    """The text of a cell; ``value`` is the number to sort by, if any."""

    text: str
    value: str | None


@dataclass(frozen=True)
class TableRow:
    """Cells in order, the head first; ``first`` marks a group's first row, a phone shows ``setting`` below the head."""

    cells: tuple[TableCell, ...]
    first: bool
    setting: str = ""


@dataclass(frozen=True)
class Head:
    """A column's title, whether its cells are numbers, and whether a phone shows them below the head instead."""

    title: str
    number: bool
    setting: bool = False


@dataclass(frozen=True)
class Tabled:
    """Columns and rows for the macro of tables, with the sentences that sum it up, and notes."""

    heads: tuple[Head, ...]
    rows: tuple[TableRow, ...]
    said: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def long(self) -> bool:
        """Whether the table scrolls in a box of its own."""
        return len(self.rows) > LONGEST


def tabled(table: Table) -> Tabled:
    """Return ``table`` for a page: identifying columns first, then the setting, measures, information and the rest."""
    table = table.shown
    keys = [column.key for column in table.columns]
    order = _order(keys)
    groups = [n for n, key in enumerate(keys) if key in (*GROUPS, *INFORMATION)]
    several = {n for n, key in enumerate(keys) if key == "model" and len({row[n] for row in table.rows}) > 1}
    says = [n for n in order[1:] if keys[n] in SETTING or n in several]
    rows, before = [], None
    for raw, texts in zip(table.rows, table.texts, strict=True):
        group = [raw[n] for n in groups]
        cells = tuple(TableCell(texts[n], _value(raw[n])) for n in order)
        setting = ", ".join(texts[n] for n in says if texts[n])
        rows.append(TableRow(cells, before is not None and group != before, setting))
        before = group
    heads = (Head(table.columns[n].title, table.columns[n].kind != "text", n in says) for n in order)
    return Tabled(tuple(heads), tuple(rows), table.said, (*table.notes, *table.terms))


def _order(keys: Sequence[str]) -> list[int]:
    """Return the positions of the columns ``keys`` in the order of a page, the one that identifies a row first."""
    head = next((keys.index(key) for key in HEADS if key in keys), 0)
    last = max((n for n, key in enumerate(keys) if key in MEASURED), default=len(keys))

    def place(n: int) -> int:
        for rank, names in ((1, GROUPS), (2, SETTING), (4, INFORMATION), (6, LAST)):
            if keys[n] in names:
                return rank
        return 3 if n <= last else 5

    return sorted(range(len(keys)), key=lambda n: (n != head, place(n), n))


def _value(cell: Cell) -> str | None:
    """Return the sort number of a cell; texts are sorted as texts, numbers in them by size."""
    if isinstance(cell, Estimate):
        return repr(cell.mean)
    return str(cell) if isinstance(cell, int) else None
