"""One worker of a suite: take the next free training, make its rows, repeat until none is left.

The store is the queue of any number of workers, on all machines with access to it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from vitmem.bench.claims import job_key
from vitmem.bench.experiment import Places
from vitmem.bench.job import run_job
from vitmem.bench.journal import failed_after, rows_in_store
from vitmem.bench.plan import Job, Plan
from vitmem.progress import named
from vitmem.rows import Row

# (job label, row)
Event = tuple[str, Row]
OnEvent = Callable[[Event], None]


def work(plan: Plan, places: Places, done: Collection[str], on_event: OnEvent, since: float | None = None) -> None:
    """Make a row for every cell of ``plan`` that is neither done nor held by another worker; call ``on_event`` on each.

    ``done`` has ids of finished cells. Cells that failed in another worker after ``since`` (seconds since 1970 by the
    clock of the store; ``None``: now) are not tried again. Raises as ``run_job`` does.
    """
    claims, name = places.store.claims, plan.suite.name
    since = claims.now() if since is None else since
    over: set[str] = set()
    while True:
        took = False
        for job in plan.jobs(done):
            if job.training.id in over:
                continue
            with claims.take(job_key(name, job.training.id)) as claim:
                if claim is None:
                    continue
                took = True
                over.add(job.training.id)
                _do(job, plan, places, on_event, since)
        if not took:
            return


def _do(job: Job, plan: Plan, places: Places, on_event: OnEvent, since: float) -> None:
    """Make the rows of ``job`` that are not in the store; retry cells that failed before ``since``."""
    made = rows_in_store(replace(plan, cells=job.cells), places.store.root, ())
    ids = {row["id"] for row in made if row["status"] == "ok" or failed_after(places.store.root, row, since)}
    left = tuple(cell for cell in job.cells if cell.id not in ids)
    with named(job.label):
        for row in run_job(replace(job, cells=left), plan.suite.name, places) if left else ():
            on_event((job.label, row))
