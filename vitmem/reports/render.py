"""A table as markdown, LaTeX (booktabs) and CSV; equal tables give equal bytes. Does not import torch."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal
from urllib.parse import quote

from vitmem.reports.aggregate import Estimate
from vitmem.reports.escape import beyond_latin, latex_row, latex_text, markdown_row, markdown_text

Cell = str | int | Estimate | None
# text; count; percent: mean ± interval of a fraction; change: the same with its sign; measure: mean ± interval in its
# own unit; share: a percentage without interval, three digits; number: a mean without interval, three decimals; seconds
# and passes: one decimal
Kind = Literal["text", "count", "percent", "change", "measure", "share", "number", "seconds", "passes"]
SPREAD = ("percent", "change", "measure")
# Name of the glossary, and its place from the tables of a suite.
GLOSSARY = "glossary.md"
ABOVE = "../../"


@dataclass(frozen=True)
class Column:
    """One column: its key in CSV, its title elsewhere, the kind of its cells, and their meaning ``about``.

    ``page``: the cells are names of suites, in markdown links to their pages.
    """

    key: str
    title: str
    kind: Kind = "text"
    about: str = ""
    page: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells with a sentence above.

    ``said`` are sentences that summarise the rows, also on a terminal; ``notes`` belong to the suite, ``rules`` to
    every table of the name; ``footer`` has cells, devices and versions. ``glossary`` is the path to its definitions.
    """

    name: str
    about: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    said: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    footer: tuple[str, ...] = ()
    glossary: str = ABOVE + GLOSSARY

    @cached_property
    def texts(self) -> list[list[str]]:
        """The unescaped text of every cell by row."""
        kinds = [column.kind for column in self.columns]
        return [[cell_text(cell, kind) for cell, kind in zip(row, kinds, strict=True)] for row in self.rows]

    @property
    def terms(self) -> tuple[str, ...]:
        """The definitions of rules and columns, one sentence each."""
        return (*self.rules, *abouts(self.columns))

    @cached_property
    def shown(self) -> Table:
        """The table without its empty columns, such as clean images of text."""
        kept = [n for n in range(len(self.columns)) if any(row[n] is not None for row in self.rows)]
        rows = tuple(tuple(row[n] for n in kept) for row in self.rows)
        return replace(self, columns=tuple(self.columns[n] for n in kept), rows=rows)


def abouts(columns: Iterable[Column]) -> Iterator[str]:
    """Yield the definitions of columns that have one."""
    yield from (f"{column.title}: {column.about}" for column in columns if column.about)


def markdown(table: Table) -> str:
    """Return ``table`` in markdown; its columns and rules are defined in the glossary of all tables."""
    table = table.shown
    lines = [f"**{markdown_text(table.about)}**", ""]
    lines.append(f"| {markdown_row([c.title for c in table.columns])} |")
    lines.append("|" + "|".join("---" if c.kind == "text" else "---:" for c in table.columns) + "|")
    pages = [n for n, column in enumerate(table.columns) if column.page]
    for row in table.texts:
        linked = [f"[{text}]({quote(text)}/README.md)" if n in pages else text for n, text in enumerate(row)]
        lines.append(f"| {markdown_row(linked if pages else row)} |")
    if below := (*table.said, *table.notes, *table.footer):
        lines += ["", *(f"- {markdown_text(note)}" for note in below)]
    lines += ["", f"[What the columns and the rules are]({table.glossary}#{table.name})"]
    return "\n".join(lines).rstrip("\n") + "\n"


def latex(table: Table) -> str:
    """Return ``table`` as a LaTeX tabular for the package booktabs, with its notes below."""
    table = table.shown
    alignment = "".join("l" if c.kind == "text" else "r" for c in table.columns)
    lines = [f"\\begin{{tabular}}{{{alignment}}}", "\\toprule"]
    lines.append(f"{latex_row([c.title for c in table.columns])} \\\\")
    lines.append("\\midrule")
    lines += [f"{latex_row(row)} \\\\" for row in table.texts]
    lines += ["\\bottomrule", "\\end{tabular}"]
    lines += [
        f"\\par{{\\footnotesize {latex_text(note)}}}" for note in (table.about, *table.said, *table.notes, *table.terms)
    ]
    text = "\n".join(lines) + "\n"
    needs = ", and LuaLaTeX or XeLaTeX with a font for its letters" if beyond_latin(text) else ""
    return f"% needs \\usepackage{{booktabs}}{needs}\n{text}"


def comma_separated(table: Table) -> str:
    """Return ``table`` as CSV with raw numbers: fractions, and half-widths in ``<key>_interval`` columns."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    spread = [c.kind in SPREAD for c in table.columns]
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


def cell_text(cell: Cell, kind: Kind) -> str:
    """Return the text of one cell of a column of ``kind``."""
    if cell is None:
        return "" if kind == "text" else "–"
    if not isinstance(cell, Estimate):
        return cell if isinstance(cell, str) else str(cell)
    if kind in SPREAD:
        return _spread(cell, kind)
    if kind == "share":
        return f"{100 * cell.mean:.3g}"
    return fixed(cell.mean, 1 if kind in ("seconds", "passes") else 3)


def _spread(cell: Estimate, kind: Kind) -> str:
    """Return a mean with its interval, or with the two values of two seeds."""

    if kind == "percent" and cell.half is not None:  # the most common case
        return f"{fixed(100 * cell.mean, 1)} ± {100 * cell.half:.1f}"

    def text(value: float) -> str:
        return f"{value:.4g}" if kind == "measure" else fixed(100 * value, 1, sign=kind == "change")

    if cell.pair is not None:
        return f"{text(cell.mean)} (n=2: {text(cell.pair[0])}, {text(cell.pair[1])})"
    if cell.half is None:
        return text(cell.mean)
    half = f"{cell.half:.2g}" if kind == "measure" else fixed(100 * cell.half, 1)
    return f"{text(cell.mean)} ± {half}"


def counted(count: int, noun: str) -> str:
    """Return ``count`` with its ``noun``: 1 cell, 2 cells, 1,200 cells."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def size_text(size: float) -> str:
    """Return a number of bytes with a unit: 712 MB, 1.3 GB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size / 1e6, 1):.0f} MB"


def fixed(value: float, digits: int, sign: bool = False) -> str:
    """Return ``value`` with ``digits`` decimals, optionally with its sign, and never as -0.0."""
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return text.lstrip("+-") if -1 < value < 1 and float(text) == 0 else text


def ends_text(low: float, high: float) -> str:
    """Return the ends of an interval of a difference of shares, in points with their signs."""
    return " to ".join(not_zero(100 * end, 1, sign=True) for end in (low, high))


def not_zero(value: float, digits: int, sign: bool = False) -> str:
    """Return ``value`` with ``digits`` decimals, and more if a non-zero value would look like zero."""
    least = next((n for n in range(digits, 10) if float(f"{value:.{n}f}") != 0), digits)
    return fixed(value, least, sign)


def p_text(value: float | None) -> str | None:
    """Return a p value with two digits, not rounded across 0.05; ``None`` without a test."""
    if value is None:
        return None
    if value < 1e-4:
        return "< 0.0001"
    text = f"{value:.2g}"
    return text if (float(text) <= 0.05) == (value <= 0.05) else f"{value:.4g}"


def _raw(value: float | None) -> str:
    """Return six digits: more would differ between mathematics libraries."""
    return "" if value is None else f"{value + 0.0:.6g}"
