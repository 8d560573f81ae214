"""``vitmem tables`` and ``vitmem figures``: pure functions of the rows. ``tables`` loads no torch."""

from __future__ import annotations

import gc
import importlib
import itertools
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from vitmem.bench.plugins import load_plugins
from vitmem.cli.options import Plugin, Results, follow_up
from vitmem.errors import InputError, VitmemError, unknown
from vitmem.progress import bars
from vitmem.registry import TABLES
from vitmem.reports.documents import check_documents, write_documents
from vitmem.reports.files import (
    MARKDOWN,
    OverSuites,
    check_tables,
    reports,
    suite_folders,
    tables_of,
    write_tables,
)
from vitmem.reports.render import GLOSSARY, RENDERERS, Table
from vitmem.reports.terminal import terminal
from vitmem.rows import Row

Suite = Annotated[str | None, typer.Option(help="only this suite")]


def belongs(row: Row) -> bool:
    """Return whether the config of a row without a digest belongs to its id; imports the ids only when needed."""
    return bool(_row_ids().belongs(row))


@cache
def _row_ids() -> Any:
    return importlib.import_module("vitmem.bench.current").RowIds()


def tables(
    show: Annotated[str | None, typer.Option("--print", help="only print this table, such as chosen")] = None,
    suite: Suite = None,
    check: Annotated[
        bool, typer.Option("--check", help="write nothing; fail if a committed table or page differs")
    ] = False,
    results: Results = Path("results"),
    format: Annotated[str, typer.Option(help="md, tex (booktabs) or csv (fractions, all columns)")] = "md",
    plugin: Plugin = None,
) -> None:
    """Write the tables of all suites from their rows, fill the documents that include them and add missing pages.

    Example: vitmem tables --print verdict --suite demo

    Example: vitmem tables --check
    """
    if not results.is_dir():
        raise InputError(f"--results: no such folder: {results}; run a suite first, or give the folder of its rows")
    if format not in RENDERERS:
        raise unknown("format", format, RENDERERS)
    load_plugins(plugin or [])
    # rows are millions of objects without cycles; garbage collection would take a fifth of the time
    gc.disable()
    if check:
        with bars():
            wrong = [*check_tables(results, suite, belongs), *check_documents(results, suite)]
        if wrong:
            named = ", ".join(map(str, wrong[:3])) + (f" and {len(wrong) - 3} others" if len(wrong) > 3 else "")
            raise VitmemError(
                f"tables and pages that differ from their rows: {named}; run 'vitmem tables' and commit them"
            )
        print("all tables agree with their rows")
        return
    if show is not None:
        _show(results, suite, show, format)
        return
    with bars():
        written = write_tables(results, suite, belongs, format)
        if format == MARKDOWN:
            written += write_documents(results, suite)
    folders = suite_folders(results, suite)
    if not folders:
        print(f"no rows in {results}: run a suite first ('vitmem run')")
    for folder in folders:
        if not any(path.is_relative_to(folder) for path in written):
            print(f"{folder.name}: no table, since no cell is finished")
    for folder, paths in itertools.groupby(written, key=lambda path: path.parent):
        names = list(dict.fromkeys(path.stem for path in paths))
        print(f"wrote {', '.join(names)} in {folder}")
    if written and format == MARKDOWN:
        page = follow_up("report", suite, results=results)
        print(f"what their columns mean: {results / GLOSSARY}; a page with figures: {page}")


def _show(results: Path, suite: str | None, name: str, format: str) -> None:
    """Print the table ``name`` of each suite and over all suites, for a terminal or in another ``format``."""
    TABLES.get(name)
    over_all = OverSuites()
    found: list[tuple[Path, Table]] = []
    for folder, report in reports(results, suite, belongs):
        if (table := tables_of(report, name).get(name)) is not None:
            found.append((folder / "tables", table))
        over_all.observe(report)
    if suite is None and (table := over_all.tables().get(name)) is not None:
        found.append((results, table))
    if not found:
        raise InputError(f"--print: no suite in {results} has the table '{name}'")
    for place, table in found:
        if format == MARKDOWN:
            print(f"{terminal(table)}\n\nall columns: {place / name}.md; what they mean: {results / GLOSSARY}\n")
        else:
            print(RENDERERS[format](table))


def figures(suite: Suite = None, results: Results = Path("results"), plugin: Plugin = None) -> None:
    """Draw the figures of all suites from their rows.

    Example: vitmem figures --suite demo
    """
    if not results.is_dir():
        raise InputError(f"--results: no such folder: {results}; run a suite first, or give the folder of its rows")
    load_plugins(plugin or [])
    with bars():
        written = importlib.import_module("vitmem.reports.drawing").write_figures(results, suite, belongs)
    for path in written:
        print(f"wrote {path}")
    if written:
        print(f"a page with them and the tables: {follow_up('report', suite, results=results)}")
    else:
        print(f"no figure: no cell of {results} is finished; vitmem status SUITE says why")
