"""Write or check the tables of a suite as files beside its rows. Does not import torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vitmem.entries import Table as TableEntry
from vitmem.errors import InputError, unknown
from vitmem.files import subfolders, write_whole, writing
from vitmem.progress import track
from vitmem.registry import TABLES
from vitmem.reports.analyses import read_analyses
from vitmem.reports.glossary import glossary, rules
from vitmem.reports.render import ABOVE, GLOSSARY, RENDERERS, Table
from vitmem.reports.report import Report
from vitmem.rows import Belongs, read_rows

MARKDOWN = "md"


def make_table(entry: TableEntry, report: Any, notes: Sequence[str] = (), footer: Sequence[str] = ()) -> Table | None:
    """Return the table of ``entry`` for ``report``; ``None`` if it has no rows."""
    rows = tuple(entry.rows(report))
    if not rows:
        return None
    columns, remarks = entry.columns_of(report), tuple(entry.remarks(report, rows))
    below = (tuple(notes), rules(columns, entry), tuple(footer))
    place = GLOSSARY if entry.over_suites else ABOVE + GLOSSARY
    return Table(entry.name, entry.about(report), columns, rows, remarks, *below, place)


def tables_of(report: Report, *names: str) -> dict[str, Table]:
    """Return the non-empty tables of ``report``, or those of ``names``, by name."""
    known = [TABLES.get(name) for name in names] if names else TABLES.entries()
    entries = [entry() for entry in known if not entry.over_suites]
    below = {True: (report.notes, report.footer), False: ()}
    tables = {entry.name: make_table(entry, report, *below[entry.suite_notes]) for entry in entries}
    return {name: table for name, table in tables.items() if table is not None}


class OverSuites:
    """The tables over all suites: caches the extract of each suite, not the rows."""

    def __init__(self) -> None:
        self.found: dict[str, list[Any]] = {}
        self.entries = [entry() for entry in TABLES.entries() if entry.over_suites]

    def observe(self, report: Report) -> None:
        """Extract the data of the tables from one suite."""
        for entry in self.entries:
            self.found.setdefault(entry.name, []).extend(entry.observe(report))

    def tables(self) -> dict[str, Table]:
        """Return the tables by name."""
        tables = {entry.name: make_table(entry, self.found.get(entry.name, [])) for entry in self.entries}
        return {name: table for name, table in tables.items() if table is not None}


def suite_folders(results: Path, suite: str | None = None) -> list[Path]:
    """Return the folders in ``results`` that have rows, or only that of ``suite``; hidden folders are skipped.

    Raises InputError when ``suite`` has no rows there, suggesting the nearest name.
    """
    folders = [f for f in subfolders(results) if (f / "rows.jsonl").exists()] if results.is_dir() else []
    if suite is None:
        return folders
    selected = [folder for folder in folders if folder.name == suite]
    if not selected:
        if not folders:
            raise InputError(f"{results}: no suite has rows here; run one first ('vitmem run')")
        raise unknown(f"suite in {results}", suite, [folder.name for folder in folders])
    return selected


def reports(results: Path, suite: str | None, belongs: Belongs | None) -> Iterator[tuple[Path, Report]]:
    """Yield the folder and the report of each suite in ``results``, or of ``suite`` alone."""
    for folder in track(suite_folders(results, suite), "results", "suites"):
        yield folder, Report(folder.name, read_rows(folder / "rows.jsonl", belongs), read_analyses(folder))


def render_tables(report: Report, *formats: str) -> dict[str, str]:
    """Return the text of every table of a suite in each of ``formats``, or in all, by file name.

    It is a pure function of the rows and analyses.
    """
    tables = tables_of(report)
    return {f"{name}.{end}": RENDERERS[end](tables[name]) for name in tables for end in formats or RENDERERS}


def _files(results: Path, suite: str | None, belongs: Belongs | None, format: str) -> Iterator[tuple[Path, str]]:
    """Yield path and content of every table file, including those over all suites if no suite is named."""
    over_all = OverSuites()
    for folder, report in reports(results, suite, belongs):
        for name, text in render_tables(report, format).items():
            yield folder / "tables" / name, text
        if suite is None:
            over_all.observe(report)
    for name, table in over_all.tables().items():
        yield results / f"{name}.{format}", RENDERERS[format](table)
    if format == MARKDOWN:
        yield results / GLOSSARY, glossary()


def write_tables(
    results: Path, suite: str | None = None, belongs: Belongs | None = None, format: str = MARKDOWN
) -> list[Path]:
    """Write the tables of all suites in ``results``, or of one, atomically, and return their paths.

    Without ``suite`` those over all suites are written too, into ``results`` itself, with the glossary. An unchanged
    file is not rewritten. Raises InputError or DiskFullError when one cannot be written.
    """
    written = []
    for path, text in _files(results, suite, belongs, format):
        content = text.encode(errors="backslashreplace")
        if not _holds(path, content):
            with writing(path):
                write_whole(path, partial(_put, content))
        written.append(path)
    return written


def _put(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def check_tables(results: Path, suite: str | None = None, belongs: Belongs | None = None) -> list[Path]:
    """Return the table files in ``results``, or of one suite, that are missing or differ from their rows.

    Obsolete table files are included. Without ``suite`` those over all suites are checked too.
    """
    expected = {
        path: text.encode(errors="backslashreplace") for path, text in _files(results, suite, belongs, MARKDOWN)
    }
    existing = [
        path for folder in suite_folders(results, suite) for path in sorted(folder.glob(f"tables/*.{MARKDOWN}"))
    ]
    return [path for path in dict.fromkeys([*expected, *existing]) if not _holds(path, expected.get(path))]


def _holds(path: Path, content: bytes | None) -> bool:
    return path.is_file() and path.read_bytes() == content
