"""``vitmem tables`` and ``vitmem figures``: pure functions of the rows. ``tables`` loads no torch."""

from __future__ import annotations

import gc
import importlib
from pathlib import Path

from vitmem.bench.current import RowIds
from vitmem.errors import InputError, VitmemError
from vitmem.reports.readme import check_documents, write_documents
from vitmem.reports.tables import check_tables, write_tables


def tables(results: Path, suite: str | None, check: bool, show: str | None) -> None:
    """Write or check the tables; raises VitmemError naming the committed tables that differ."""
    if not results.is_dir():
        raise InputError(f"--results: no such folder: {results}")
    # rows are millions of objects without cycles: looking for garbage among them takes a fifth of the time
    gc.disable()
    belongs = RowIds().belongs
    if check:
        wrong = [*check_tables(results, suite, belongs), *check_documents(results)]
        if wrong:
            names = ", ".join(str(path) for path in wrong)
            raise VitmemError(f"tables that differ from their rows: {names}; run 'vitmem tables' and commit them")
        print("all tables agree with their rows")
        return
    written = [*write_tables(results, suite, belongs), *write_documents(results)]
    if not written:
        print(f"no rows in {results}: run a suite first ('vitmem run')")
    for path in written:
        if show is None:
            print(f"wrote {path}")
        elif path.name == f"{show}.md":
            print(path.read_text())
    if show is not None and not any(path.name == f"{show}.md" for path in written):
        known = sorted({path.stem for path in written})
        raise InputError(f"--print: no table '{show}'; known: {', '.join(known) or 'none, there are no rows'}")


def figures(results: Path, suite: str | None) -> None:
    """Draw the figures of all suites, or of one; matplotlib is imported only here."""
    if not results.is_dir():
        raise InputError(f"--results: no such folder: {results}")
    for path in importlib.import_module("vitmem.reports.figures").write_figures(results, suite):
        print(f"wrote {path}")
