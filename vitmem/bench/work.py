"""Work on a suite: take the next training that nobody holds, make its rows, go on until none is left.

The store is the queue: any number of workers, on any machine that sees the store, work on one suite.
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
    """Make a row of every cell of ``plan`` that has none and that no other worker is at; tell ``on_event`` of each.

    ``done`` are ids of cells that need none. What failed in another worker after ``since``, a time by the clock of the
    store (``None``: now), would fail here and is not tried. Raises what ``run_job`` raises.
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
    """Make the rows of ``job`` that are not in the store; what failed before ``since`` is tried again."""
    made = rows_in_store(replace(plan, cells=job.cells), places.store.root, ())
    ids = {row["id"] for row in made if row["status"] == "ok" or failed_after(places.store.root, row, since)}
    left = tuple(cell for cell in job.cells if cell.id not in ids)
    with named(job.label):
        for row in run_job(replace(job, cells=left), plan.suite.name, places) if left else ():
            on_event((job.label, row))
