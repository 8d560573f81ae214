"""Tables and lines as the templates of the site show them. Does not import torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vitmem.registry import TABLES
from vitmem.reports.overview import Line
from vitmem.reports.page.tabled import Tabled, tabled
from vitmem.reports.render import Table
from vitmem.reports.tables.suites import ordered

# Tables of more rows scroll in a box of their own, below a line with their number of rows.
TALL = 40
# What a reader can filter the lines by, with the word for all of it.
FACETS = {"data": "all data", "network": "all networks", "method": "all methods", "information": "any information"}


@dataclass(frozen=True)
class ShownTable:
    """A table: ``said`` stand below it, ``notes`` behind a fold; ``summary`` is that of its entry."""

    name: str
    summary: str
    about: str
    table: Tabled
    said: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def tall(self) -> bool:
        """Whether it has a box of its own."""
        return len(self.table.rows) > TALL


def shown_table(table: Table) -> ShownTable:
    """Return ``table`` for a page, with the notes of its suite; its terms are in the glossary."""
    notes = (*table.notes, *table.footer)
    return ShownTable(table.name, summary(table.name), table.about, tabled(table), table.said, notes)


def summary(table: str) -> str:
    """Return what the table of this name has, in a sentence."""
    return f"{TABLES.get(table).summary.rstrip('.')}."


@dataclass(frozen=True)
class Landing:
    """A table over suites: its title, its lines in order, what their numbers are, and who made them."""

    name: str
    title: str
    measures: str
    lines: tuple[Line, ...]
    notes: tuple[str, ...]


def landing(table: Table, found: Sequence[Line]) -> Landing:
    """Return the landing table of ``table``, made of the lines ``found``."""
    title = TABLES.get(table.name).title or table.name
    return Landing(table.name, title, title.partition(": ")[2], tuple(ordered(found)), table.said)


def choices(landings: Sequence[Landing]) -> dict[str, list[str]]:
    """Return the names that a reader can filter the lines by, sorted, for each facet."""
    lines = [line for one in landings for line in one.lines]
    return {facet: sorted({name for line in lines for name in line.facets[facet]}) for facet in FACETS}
