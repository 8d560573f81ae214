"""Rows in the store, one file per training, so that several processes or machines can work on one suite.

``<store>/rows/<suite>/<training>.jsonl`` has every row of the training's cells, the newest last. The rows stay there
after they are written to the suite's results, for other folders of results.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Collection
from pathlib import Path

from vitmem.bench.plan import Plan
from vitmem.bench.store import Store, lock, translate_disk_errors
from vitmem.errors import InputError
from vitmem.metrics.versions import Currency
from vitmem.rows import Row, append_row, appended_rows

log = logging.getLogger(__name__)


def journal(store: Path, suite: str, training: str) -> Path:
    """Return the path of the rows of a training's cells in the store."""
    return store / "rows" / suite / f"{training}.jsonl"


def keep_row(store: Store, row: Row) -> None:
    """Append ``row`` to the rows of its training; raises as ``append_row`` does, and DiskFullError on a full disk."""
    path = journal(store.root, row["suite"], row["ids"]["training"])
    with translate_disk_errors(store.root), lock(path.with_suffix(".lock")):
        append_row(path, row)


def rows_in_store(plan: Plan, store: Path, done: Collection[str]) -> list[Row]:
    """Return the rows in the store for cells of ``plan`` that are not in ``done`` (cell ids), oldest first.

    Rows with other versions of the metrics are omitted: their cells are measured again. A damaged file is moved aside
    with a warning.
    """
    current = Currency().current
    found = []
    for job in plan.jobs(done):
        ids = {cell.id for cell in job.cells}
        rows = _rows(journal(store, plan.suite.name, job.training.id))
        found += [row for row in rows if row["id"] in ids and (row["status"] == "failed" or current(row))]
    return found


def failed_after(store: Path, row: Row, moment: float) -> bool:
    """Return whether ``row`` failed after ``moment``, seconds since 1970, by its traceback file in ``store``."""
    traceback = store / row.get("traceback", "")
    return row["status"] == "failed" and traceback.is_file() and traceback.stat().st_mtime > moment


def _rows(path: Path) -> list[Row]:
    try:
        return appended_rows(path)
    except InputError:
        pass
    with lock(path.with_suffix(".lock")):  # another process may be appending, or may have moved the file aside
        try:
            return appended_rows(path)
        except InputError as error:
            numbered = (path.with_name(f"{path.name}.damaged-{n}") for n in itertools.count(1))
            aside = next(name for name in numbered if not name.exists())
            path.replace(aside)
            log.warning(f"{error}; the file is set aside as {aside.name} and its cells are measured again")
            return []
