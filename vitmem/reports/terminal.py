"""Render a table for a terminal, limited to the most important columns. Does not import torch."""

from __future__ import annotations

import textwrap
from io import StringIO

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from vitmem.reports.render import Table

MOST_COLUMNS, WIDTH = 8, 100
# Columns shown first; others follow in the order of the table while there is room.
FIRST = (
    *("model", "outcome", "method", "setting", "blocks", "strength", "seeds"),
    *("memorized", "recovered", "validation", "perplexity", "difference", "p"),
)


def terminal(table: Table, width: int = WIDTH) -> str:
    """Return at most ``MOST_COLUMNS`` columns of ``table`` as text of at most ``width`` characters per line.

    Text columns with one value in all rows are shown above the table, summary sentences below it. Notes are left out.
    """
    table = table.shown
    texts, every = table.texts, _same_in_every_row(table)
    order = [n for n in range(len(table.columns)) if n not in every]
    order.sort(key=lambda n: (table.columns[n].key not in FIRST, n))
    kept = sorted(order[:MOST_COLUMNS])
    while len(kept) > 2 and sum(max(len(row[n]) for row in [*texts, _titles(table)]) + 3 for n in kept) > width:
        spare = [n for n in kept if table.columns[n].key not in FIRST]
        if not spare:
            break
        kept.remove(spare[-1])
    out = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for n in kept:
        text = table.columns[n].kind == "text"
        out.add_column(Text(table.columns[n].title), justify="left" if text else "right", overflow="fold")
    for row in texts:
        out.add_row(*(Text(row[n]) for n in kept))
    console = Console(file=StringIO(), width=width, color_system=None, legacy_windows=False)
    console.print(out)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    same = [f"{table.columns[n].title} {text}" for n, text in every.items() if text]
    above = textwrap.wrap("; ".join([table.about.rstrip("."), *same]), width, break_on_hyphens=False)
    below = [paragraph(sentence, width) for sentence in table.said]
    return "\n\n".join(["\n".join([*above, *(line.rstrip() for line in lines)]).rstrip("\n"), *below])


def paragraph(sentence: str, width: int = WIDTH) -> str:
    """Return ``sentence`` in lines of at most ``width`` characters."""
    return textwrap.fill(sentence, width, break_on_hyphens=False)


def _same_in_every_row(table: Table) -> dict[int, str]:
    """Return the text of the columns with the same text in every row, except that of the methods, by position."""
    texts = {n: {row[n] for row in table.texts} for n, c in enumerate(table.columns) if c.kind == "text"}
    return {n: values.pop() for n, values in texts.items() if len(values) == 1 and table.columns[n].key != "method"}


def _titles(table: Table) -> list[str]:
    return [column.title for column in table.columns]
