"""A table as markdown, LaTeX (booktabs) and CSV; the same table always gives the same bytes. No torch."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from vitmem.reports.aggregate import Estimate

Cell = str | int | Estimate | None
# text; count; percent: mean ± interval of a fraction; change: the same with its sign; share: a percentage
# without interval, three digits; number: a mean without interval, three decimals; seconds and passes: one decimal
Kind = Literal["text", "count", "percent", "change", "share", "number", "seconds", "passes"]


@dataclass(frozen=True)
class Column:
    """One column: its key in CSV, its title elsewhere, how its cells are shown, and whether an empty one is dropped.

    Shares and passes are dropped in any case.
    """

    key: str
    title: str
    kind: Kind = "text"
    optional: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells with a sentence above and notes below; ``footer`` is for markdown alone."""

    about: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    footer: tuple[str, ...] = ()

    def without_empty(self) -> Table:
        """Return the table without the empty columns that need not be there (text has no clean images)."""

        def some(n: int) -> bool:
            return any(row[n] is not None for row in self.rows)

        droppable = [c.optional or c.kind in ("percent", "change", "passes") for c in self.columns]
        kept = [n for n, drop in enumerate(droppable) if not drop or some(n)]
        rows = tuple(tuple(row[n] for n in kept) for row in self.rows)
        return replace(self, columns=tuple(self.columns[n] for n in kept), rows=rows)


def markdown(table: Table) -> str:
    """Return ``table`` in markdown."""
    lines = [f"**{table.about}**", ""]
    lines.append("| " + " | ".join(c.title for c in table.columns) + " |")
    lines.append("|" + "|".join("---" if c.kind == "text" else "---:" for c in table.columns) + "|")
    lines += ["| " + " | ".join(row) + " |" for row in shown(table, escape=lambda t: t.replace("|", "\\|"))]
    lines += ["", *(f"- {note}" for note in (*table.notes, *table.footer))]
    return "\n".join(lines).rstrip("\n") + "\n"


def latex(table: Table) -> str:
    """Return ``table`` as a LaTeX tabular for the package booktabs, with its notes below."""
    alignment = "".join("l" if c.kind == "text" else "r" for c in table.columns)
    lines = ["% needs \\usepackage{booktabs}", f"\\begin{{tabular}}{{{alignment}}}", "\\toprule"]
    lines.append(" & ".join(_escape(c.title) for c in table.columns) + " \\\\")
    lines.append("\\midrule")
    lines += [" & ".join(row) + " \\\\" for row in shown(table, "$\\pm$", _escape)]
    lines += ["\\bottomrule", "\\end{tabular}"]
    lines += [f"\\par{{\\footnotesize {_escape(note)}}}" for note in (table.about, *table.notes)]
    return "\n".join(lines) + "\n"


def comma_separated(table: Table) -> str:
    """Return ``table`` as CSV with raw numbers: fractions, and half-widths in ``<key>_interval`` columns."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    spread = [c.kind in ("percent", "change") for c in table.columns]
    titles: list[str] = []
    for column, wide in zip(table.columns, spread, strict=True):
        titles += [column.key, f"{column.key}_interval"] if wide else [column.key]
    writer.writerow(titles)
    for row in table.rows:
        cells: list[str] = []
        for cell, wide in zip(row, spread, strict=True):
            if isinstance(cell, Estimate):
                cells += [_raw(cell.mean), _raw(cell.half)] if wide else [_raw(cell.mean)]
            else:
                text = "" if cell is None else str(cell)
                cells += [text, ""] if wide else [text]
        writer.writerow(cells)
    return out.getvalue()


RENDERERS: dict[str, Callable[[Table], str]] = {"md": markdown, "tex": latex, "csv": comma_separated}


def shown(table: Table, plus_minus: str = "±", escape: Callable[[str], str] = str) -> list[list[str]]:
    """Return the text of every cell of ``table`` by row."""
    kinds = [c.kind for c in table.columns]
    return [
        [_cell(cell, kind, plus_minus, escape) for cell, kind in zip(row, kinds, strict=True)] for row in table.rows
    ]


def _cell(cell: Cell, kind: Kind, plus_minus: str, escape: Callable[[str], str]) -> str:
    if cell is None:
        return "" if kind == "text" else escape("–")
    if not isinstance(cell, Estimate):
        return escape(str(cell))
    if kind in ("percent", "change"):
        text = fixed(100 * cell.mean, 1, sign=kind == "change")
        return text if cell.half is None else f"{text} {plus_minus} {fixed(100 * cell.half, 1)}"
    if kind == "share":
        return f"{100 * cell.mean:.3g}"
    return fixed(cell.mean, 1 if kind in ("seconds", "passes") else 3)


def counted(count: int, noun: str) -> str:
    """Return ``count`` with its ``noun``: 1 cell, 2 cells, 1,200 cells."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def fixed(value: float, digits: int, sign: bool = False) -> str:
    """Return ``value`` with ``digits`` decimals, with its sign when asked for, and never as -0.0."""
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text


def _raw(value: float | None) -> str:
    """Return six digits: more would tell one mathematics library from another."""
    return "" if value is None else f"{value + 0.0:.6g}"


def _escape(text: str) -> str:
    for char in ("\\", "&", "%", "$", "#", "_", "{", "}"):
        text = text.replace(char, "\\textbackslash " if char == "\\" else f"\\{char}")
    return text.replace("Δ", "$\\Delta$").replace("‖", "$\\|$").replace("±", "$\\pm$").replace("–", "--")
