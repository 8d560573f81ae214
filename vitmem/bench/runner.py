"""Run a suite: collect the rows in the store, run the cells without a row, write their rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from vitmem.bench.current import finished_ids, rows_of
from vitmem.bench.executors.local import run_local
from vitmem.bench.experiment import Places
from vitmem.bench.journal import rows_in_store
from vitmem.bench.plan import Plan
from vitmem.bench.preflight import check_jobs
from vitmem.bench.store import lock, translate_disk_errors
from vitmem.bench.work import Event, OnEvent
from vitmem.errors import VitmemError
from vitmem.metrics.measure import try_metrics
from vitmem.metrics.versions import predictions_kind
from vitmem.progress import now_and_then
from vitmem.rows import Row, write_rows

# (plan, places, done ids, plug-ins to import first, callback): makes the missing rows of a plan.
Execute = Callable[[Plan, Places, Collection[str], Sequence[str], OnEvent], None]
# Seconds between two writes of the rows; each write rewrites the whole file.
WRITE_EVERY = 60.0


@dataclass
class Progress:
    """Counts and seconds of a run, for the estimate of the remaining time."""

    total: int
    trainings: int
    workers: int = 1
    cells: int = 0
    failed: int = 0
    cell_seconds: float = 0.0
    training_seconds: dict[str, float] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Count ``row``."""
        self.cells += 1
        self.failed += row["status"] == "failed"
        costs = row.get("costs", {})
        self.cell_seconds += costs.get("edit_seconds", 0.0) + costs.get("evaluate_seconds", 0.0)
        self.training_seconds[row["ids"]["training"]] = costs.get("training_seconds", 0.0)

    def left(self) -> float | None:
        """Estimate the remaining seconds from the finished trainings and cells; ``None`` before the first cell."""
        if not self.cells:
            return None
        begun = self.training_seconds
        cells = self.cell_seconds / self.cells * (self.total - self.cells)
        trainings = sum(begun.values()) / len(begun) * max(self.trainings - max(len(begun), self.workers), 0)
        return (cells + trainings) / min(self.workers, self.trainings)


@dataclass(frozen=True)
class Outcome:
    """The counts of a run: cells in the plan, existing rows, new rows, and failed ones of these.

    ``elsewhere`` is the number of cells of other workers.
    """

    cells: int
    found: int
    made: int
    failed: int
    elsewhere: int = 0


def rows_path(results: Path, suite: str) -> Path:
    """Return the path of the rows of ``suite``."""
    return results / suite / "rows.jsonl"


def run_suite(
    plan: Plan,
    places: Places,
    results: Path,
    *,
    workers: int = 1,
    execute: Execute | None = None,
    plugins: Sequence[str] = (),
    prune: bool = False,
    on_event: Callable[[Event, Progress], None] = lambda event, progress: None,
) -> Outcome:
    """Make a row for every cell of ``plan`` without one and return the counts.

    Collects existing rows from the store first, and those of other workers at the end. Each row is stored before the
    next cell starts, so a killed run loses at most its current cell; the suite's rows are written once a minute and at
    the end. Rows with other versions of the metrics are measured again from the store. ``prune`` deletes rows of cells
    outside the suite. ``execute`` makes the rows on a cluster instead of in ``workers`` processes of this machine.
    Raises InputError for an error of the user.
    """
    name = plan.suite.name
    path = rows_path(results, name)
    with translate_disk_errors(results), results_folder(path.parent):
        with lock(path.with_name(".lock")):
            for left in path.parent.glob(f".{path.name}.*.tmp"):  # left by a run killed during a write
                left.unlink()
        rows = rows_of(path)
        new = rows_in_store(plan, places.store.root, finished_ids(rows))
        stale = stale_ids(plan, rows) if prune else set()
        _merge(path, new, stale)
        done = finished_ids([*rows, *new])
        found = sum(cell.id in done for cell in plan.cells)
        del rows, new
        jobs = plan.jobs(done)
        progress = Progress(sum(len(j.cells) for j in jobs), len(jobs), workers)
        unwritten: list[Row] = []
        due = now_and_then(WRITE_EVERY)

        def write() -> None:
            _merge(path, unwritten)
            unwritten.clear()

        def handle(event: Event) -> None:
            unwritten.append(event[1])
            progress.add(event[1])
            on_event(event, progress)
            if due():
                write()

        try:
            for protocol in {predictions_kind(job.training.data.entry) for job in jobs}:
                try_metrics(protocol)
            check_jobs(jobs, places)
            named = (*plugins, *plan.suite.plugins)
            if execute is None:
                run_local(plan, places, done, workers, named, handle)
            else:
                execute(plan, places, done, named, handle)
        except BaseException:
            with suppress(VitmemError, OSError):  # the first error is raised; the next run collects the rows
                write()
            raise
        write()
        rows = rows_of(path)
        others = rows_in_store(plan, places.store.root, finished_ids(rows))
        _merge(path, others)
        have = {row["id"] for row in [*rows, *others]}
        elsewhere = sum(cell.id not in have for cell in plan.cells)
        return Outcome(len(plan.cells), found, progress.cells, progress.failed, elsewhere)


def _merge(path: Path, rows: Sequence[Row], stale: Collection[str] = ()) -> None:
    """Merge ``rows`` into the file ``path``, under a lock against other runs."""
    if rows or stale:
        with lock(path.with_name(".lock")):
            write_rows(path, rows, drop=stale)


def stale_ids(plan: Plan, rows: Iterable[Row]) -> set[str]:
    """Return the ids of ``rows`` without a cell in ``plan``."""
    return {row["id"] for row in rows} - {cell.id for cell in plan.cells}


@contextmanager
def results_folder(folder: Path) -> Iterator[None]:
    """Create the folder of a suite's results; remove it and its new parents if it stays empty."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with suppress(OSError):
            if folder in made and [path.name for path in folder.iterdir()] == [".lock"]:
                (folder / ".lock").unlink()
            for path in made:
                path.rmdir()
