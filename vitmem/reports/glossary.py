"""Definitions of the columns and the rules of the tables, on one page for all tables. Does not import torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from vitmem.entries import Table
from vitmem.registry import TABLES
from vitmem.reports.escape import markdown_text
from vitmem.reports.meanings import READING, shared_meanings
from vitmem.reports.notes import INTERVAL
from vitmem.reports.render import SPREAD, Column, abouts


def rules(columns: Sequence[Column], entry: Table | type[Table]) -> tuple[str, ...]:
    """Return the definitions and rules of a table, one sentence each."""
    spread = any(column.kind in SPREAD for column in columns)
    return (INTERVAL, *entry.notes) if spread and not entry.over_suites else entry.notes


def glossary() -> str:
    """Return the page in markdown: the meaning of columns, shared definitions, and a heading for each table."""
    entries = {e: [*rules(e.columns, e), *abouts(e.columns)] for e in TABLES.entries()}
    counts = Counter(term for found in entries.values() for term in found)
    shared = [term for term, count in counts.items() if count > 1]
    lines = ["# The tables", "", "Written by `vitmem tables`. A word before a colon is a column or a part of one.", ""]
    columns = [column for entry in TABLES.entries() for column in entry.columns]
    lines += ["## How to read them", "", *_items(READING), "", "## Columns", "", *_items([*shared_meanings(columns)])]
    lines += ["", "## In several tables", "", *_items(shared)]
    for entry, found in entries.items():
        lines += ["", f"## {entry.name}", "", f"{entry.summary}."]
        if own := [term for term in found if counts[term] == 1]:
            lines += ["", *_items(own)]
    return "\n".join(lines) + "\n"


def _items(found: Sequence[str]) -> list[str]:
    return [f"- {markdown_text(term)}" for term in found]
