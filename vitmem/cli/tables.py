"""``vitmem tables`` and ``vitmem figures``: pure functions of the rows. ``tables`` loads no torch."""

from __future__ import annotations

import gc
import importlib
import itertools
from functools import cache
from pathlib import Path
from typing import Any

from vitmem.errors import InputError, VitmemError
from vitmem.reports.analyses import read_analyses
from vitmem.reports.bases import NAME as BASES
from vitmem.reports.bases import bases, has_bases
from vitmem.reports.content import Report
from vitmem.reports.factorial import Observed, observed
from vitmem.reports.folders import suite_folders
from vitmem.reports.readme import check_documents, write_documents
from vitmem.reports.tables import check_tables, tables_of, write_tables
from vitmem.reports.terminal import terminal
from vitmem.rows import Row, read_rows


def _belongs(row: Row) -> bool:
    """Say whether the config of a row without a digest belongs to its id; what makes ids is imported only here."""
    return bool(_row_ids().belongs(row))


@cache
def _row_ids() -> Any:
    return importlib.import_module("vitmem.bench.current").RowIds()


def tables(results: Path, suite: str | None, check: bool, show: str | None) -> None:
    """Write or check the tables; raises VitmemError naming the committed tables that differ."""
    if not results.is_dir():
        raise InputError(f"--results: no such folder: {results}")
    # rows are millions of objects without cycles: looking for garbage among them takes a fifth of the time
    gc.disable()
    if check:
        wrong = [*check_tables(results, suite, _belongs), *check_documents(results)]
        if wrong:
            named = ", ".join(map(str, wrong[:3])) + (f" and {len(wrong) - 3} others" if len(wrong) > 3 else "")
            raise VitmemError(f"tables that differ from their rows: {named}; run 'vitmem tables' and commit them")
        print("all tables agree with their rows")
        return
    if show is not None:
        _show(results, suite, show)
        return
    written = [*write_tables(results, suite, _belongs), *write_documents(results)]
    if not written:
        print(f"no rows in {results}: run a suite first ('vitmem run')")
    for folder, paths in itertools.groupby(written, key=lambda path: path.parent):
        names = list(dict.fromkeys(path.stem for path in paths))
        print(f"wrote {', '.join(names)} in {folder}")


def _show(results: Path, suite: str | None, name: str) -> None:
    """Print the table ``name`` of each suite that has it, or over all, as a terminal shows it, and where it lies."""
    known: set[str] = set()
    over_all: list[Observed] = []
    for folder in suite_folders(results, suite):
        rows = read_rows(folder / "rows.jsonl", _belongs)
        report = Report(folder.name, rows, read_analyses(folder))
        over_all += observed(folder.name, report.trainings)
        found = tables_of(report, rows)
        known |= set(found)
        if name in found:
            print(f"{terminal(found[name])}\n\nall columns and what they mean: {folder / 'tables' / name}.md\n")
    if suite is None and has_bases(over_all):
        known.add(BASES)
        if name == BASES:
            print(f"{terminal(bases(over_all))}\n\nall columns and what they mean: {results / BASES}.md\n")
    if name not in known:
        raise InputError(f"--print: no table '{name}'; known: {', '.join(sorted(known)) or 'none, there are no rows'}")


def figures(results: Path, suite: str | None) -> None:
    """Draw the figures of all suites, or of one; matplotlib is imported only here."""
    if not results.is_dir():
        raise InputError(f"--results: no such folder: {results}")
    for path in importlib.import_module("vitmem.reports.figures").write_figures(results, suite, _belongs):
        print(f"wrote {path}")
