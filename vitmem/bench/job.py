"""Execution of a job: a row for each cell of one training, one after another."""

from __future__ import annotations

from collections.abc import Iterator

from vitmem.bench.cells import Cell
from vitmem.bench.evaluation import ensure_ablated, ensure_evaluation, ensure_unedited
from vitmem.bench.experiment import Places
from vitmem.bench.journal import keep_row
from vitmem.bench.plan import Job
from vitmem.bench.preflight import check_cells
from vitmem.bench.row import failed_row, finished_row
from vitmem.bench.stages import ensure_training, open_session
from vitmem.errors import DiskFullError, InputError, VitmemError, reason
from vitmem.rows import Row


def run_job(job: Job, suite: str, places: Places) -> Iterator[Row]:
    """Yield a row for every cell of ``job`` and keep it in the store; a failed cell has a row too.

    Raises InputError for unreadable data, an invalid network or an edit of missing layers, and DiskFullError. The store
    keeps all finished work for the next call.
    """
    for cell, row in _rows(job, suite, places):
        try:
            keep_row(places.store, row)
        except (InputError, DiskFullError):
            raise
        except VitmemError as error:  # a metric is not finite
            row = failed_row(cell, suite, reason(error), places.store.failed(cell.id, error))
            keep_row(places.store, row)
        yield row


def _rows(job: Job, suite: str, places: Places) -> Iterator[tuple[Cell, Row]]:
    try:
        session = open_session(job.training, places, job.cells)
        check_cells(session, job.cells)
        ensure_training(session)
        ensure_unedited(session)
    except (InputError, DiskFullError):
        raise
    except (Exception, SystemExit) as error:  # a plug-in's network may call sys.exit
        where = places.store.failed(job.training.id, error)
        for cell in job.cells:
            yield cell, failed_row(cell, suite, f"training: {reason(error)}", where)
        return
    for cell in job.cells:
        try:
            ensure_ablated(session, cell)
            row = finished_row(session, cell, suite, ensure_evaluation(session, cell))
            places.store.succeeded(cell.id)
        except DiskFullError:
            raise
        except (Exception, SystemExit) as error:
            row = failed_row(cell, suite, reason(error), places.store.failed(cell.id, error))
        yield cell, row
