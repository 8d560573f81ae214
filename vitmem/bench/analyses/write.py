"""``vitmem analyse``: all analyses of the trainings of a suite, one CSV file each beside the rows."""

from __future__ import annotations

import csv
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from vitmem.bench.analyses.bands import bands
from vitmem.bench.analyses.base import Analysis, AnalysisContext, Row, Tops
from vitmem.bench.analyses.detection import detection
from vitmem.bench.analyses.fisher import fisher
from vitmem.bench.analyses.learned import learned
from vitmem.bench.analyses.spectrum import spectrum
from vitmem.bench.analyses.stability import stability, tops
from vitmem.bench.cells import Cell, as_config
from vitmem.bench.experiment import Places
from vitmem.bench.plan import Job, Plan
from vitmem.bench.preflight import check_cells
from vitmem.bench.stages import ensure_training, open_session
from vitmem.bench.statistics import ensure_statistics
from vitmem.bench.store import translate_disk_errors
from vitmem.errors import InputError, unknown
from vitmem.files import write_text
from vitmem.lazy import extra
from vitmem.progress import track
from vitmem.specs import Statistics, digest

log = logging.getLogger(__name__)

ANALYSES: Mapping[str, Analysis] = {
    "bands": bands,
    "spectrum": spectrum,
    "fisher": fisher,
    "stability": stability,
    "detection": detection,
    "learned": learned,
}


def write_analyses(plan: Plan, places: Places, results: Path, names: Sequence[str] = ()) -> list[Path]:
    """Run the analyses ``names`` (none: all) on every training of ``plan`` that has statistics.

    Returns the paths ``<results>/<suite>/analyses/<name>.csv``, which are rewritten after each training. Trainings and
    statistics (of several kinds the one nearest to the defaults) come from the store, or are made. Raises InputError
    for an unknown name and for a suite without statistics.
    """
    chosen = {name: _analysis(name) for name in (names or ANALYSES)}
    jobs = [(job, cells) for job in plan.jobs() if (cells := [c for c in job.cells if c.statistics is not None])]
    if not jobs:
        raise InputError(f"suite '{plan.suite.name}': no cell reads statistics; add an edit such as {{method: kfac}}")
    if "detection" in chosen:
        extra("cleanlab", "cleanlab")  # fail before training
    found: dict[str, list[Row]] = {name: [] for name in chosen}
    before: dict[str, dict[int, Tops]] = defaultdict(dict)
    folder = results / plan.suite.name / "analyses"
    for number, (job, cells) in enumerate(track(jobs, "analyses", "networks"), 1):
        log.info(f"[{number}/{len(jobs)}] {job.label}")
        seeds = before[digest({**job.training.config, "seed": None})]
        context = _look(job, min(cells, key=_plainness), places, seeds)
        for name, analysis in chosen.items():
            found[name] += analysis(context)
        if "stability" in chosen and len(plan.suite.seeds) > 1:
            seeds[job.training.seed] = tops(context.factors, context.layers)
        paths = [_write(folder / f"{name}.csv", rows) for name, rows in found.items() if rows]
    return paths


def _analysis(name: str) -> Analysis:
    if name not in ANALYSES:
        raise unknown("analysis", name, list(ANALYSES))
    return ANALYSES[name]


def _plainness(cell: Cell) -> tuple[Any, ...]:
    """Return a sort key: statistics of all editable layers first, then by distance from the defaults."""
    asked = as_config(cell.statistics or Statistics())
    odd = sum(getattr(Statistics(), key) != value for key, value in asked.items())
    return cell.layers is not None, odd, digest(asked)


def _look(job: Job, cell: Cell, places: Places, seeds: Mapping[int, Tops]) -> AnalysisContext:
    session = open_session(job.training, places)
    check_cells(session, [cell])
    ensure_training(session)
    assert cell.statistics is not None
    factors = ensure_statistics(session, cell, every=True)
    layers = session.layers("all", cell.layers)
    return AnalysisContext(session, cell, job.cells, cell.statistics, factors, layers, dict(seeds))


def _write(path: Path, rows: list[Row]) -> Path:
    with translate_disk_errors(path.parent):
        text = StringIO(newline="")
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(path, text.getvalue())
    return path
