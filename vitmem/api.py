"""The Python interface: the commands of the command line as functions with return values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitmem.bench.current import rows_of
from vitmem.bench.plan import Plan, make_plan
from vitmem.bench.plugins import load_plugins
from vitmem.bench.suite import load_suite
from vitmem.errors import InputError
from vitmem.reports.documents import write_documents
from vitmem.reports.files import write_tables
from vitmem.shipped import find_suite
from vitmem.trainer import from_command_line

if TYPE_CHECKING:
    import pandas as pd

    from vitmem.bench.runner import Outcome


def plan(suite: str | Path, *, data_dir: str | Path | None = None, plugins: Sequence[str] = ()) -> Plan:
    """Return the cells of a suite: a YAML file, or the name of a shipped one. Does not import torch.

    ``data_dir`` contains the files named in the suite. Raises InputError for an invalid suite.
    """
    load_plugins(plugins)
    file = find_suite(Path(suite))
    return make_plan(load_suite(file), file, None if data_dir is None else Path(data_dir))


def run(
    suite: str | Path,
    *,
    results: str | Path = "results",
    store: str | Path = "store",
    data_dir: str | Path | None = None,
    cache_dir: str | Path = "~/.cache/vitmem",
    device: str = "auto",
    workers: int = 1,
    plugins: Sequence[str] = (),
    trainer: Mapping[str, Any] | None = None,
) -> Outcome:
    """Compute the missing rows of a suite and write its tables; returns the numbers of cells, new cells and failures.

    ``trainer`` are options of Lightning's trainer that change no result, such as ``{"devices": 4}``; they win over a
    recipe's. Raises InputError for errors that the user can fix, DiskFullError when the disk is full; the same call
    resumes.
    """
    from vitmem.bench.experiment import Places
    from vitmem.bench.runner import run_suite
    from vitmem.bench.store import Store

    planned, data = plan(suite, data_dir=data_dir, plugins=plugins), None if data_dir is None else Path(data_dir)
    if data is not None and not data.is_dir():
        raise InputError(f"data_dir: no such folder: {data}")
    places = Places(
        Store(Path(store)), data, Path(cache_dir).expanduser(), device, from_command_line(trainer or {}, "trainer")
    )
    outcome = run_suite(planned, places, Path(results), workers=workers, plugins=plugins)
    write_tables(Path(results), planned.suite.name)
    return outcome


def load_rows(suite: str | Path, *, results: str | Path = "results") -> pd.DataFrame:
    """Return the rows of a suite, one per cell: its name in ``results``, or a folder with ``rows.jsonl``.

    Columns have dotted names, such as ``metrics.memorized``, ``config.edit.method`` and ``config.seed``; shares are
    fractions in [0, 1]. Raises InputError when there are no rows or one is damaged.
    """
    import pandas as pd

    folder = Path(suite) if (Path(suite) / "rows.jsonl").exists() else Path(results) / suite
    rows = rows_of(folder / "rows.jsonl")
    if not rows:
        raise InputError(f"{folder}: no rows here; run the suite first ('vitmem run'), or give its folder")
    return pd.json_normalize(rows)


def tables(results: str | Path = "results", *, suite: str | None = None) -> list[Path]:
    """Write the tables of all suites in ``results``, or of one, from their rows, and the documents that include them.

    Returns the files of the tables, then the documents that changed.
    """
    return [*write_tables(Path(results), suite), *write_documents(Path(results), suite)]
