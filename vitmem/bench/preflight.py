"""What can be known to be wrong before anything is trained, told in one sentence."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence

import torch

from vitmem.bench.cells import Cell
from vitmem.bench.plan import Job
from vitmem.bench.stages import Bench, prepare
from vitmem.bench.subject import Places
from vitmem.bench.vision import VisionSubject
from vitmem.data.views import load_view, view_folders
from vitmem.errors import InputError
from vitmem.kfac import find_layers


def check_jobs(jobs: Sequence[Job], places: Places) -> None:
    """Raise InputError for any of ``jobs``, as each of them would when it begins, before the first of them is trained.

    Looked at are jobs whose noise, network or oracle none before them has; the first one looks at itself. What fails
    for another reason becomes rows in its own time.
    """
    seen: set[Hashable] = set()
    for number, job in enumerate(jobs):
        one = job.training
        parts: set[Hashable] = {(one.data, one.noise), (one.data, one.model), (one.noise, one.oracle)}
        if number and not parts <= seen:
            try:
                check_cells(prepare(one, places), job.cells)
            except InputError:
                raise
            except (Exception, SystemExit):
                continue
        seen |= parts


def check_cells(bench: Bench, cells: Sequence[Cell]) -> None:
    """Raise InputError before anything is trained when a cell names blocks, layers or positions that are not there.

    The same holds for statistics of more images than there are, or of crops that leave nothing of them, for views
    whose files are missing, belong to another order of the images or leave none of them, and for an oracle that has
    nothing to train on.
    """
    for cell in cells:
        if cell.blocks is not None:
            find_layers(bench.subject.net, bench.subject.patterns(cell.blocks, cell.layers))
        for one in (cell, cell.second):
            if one is not None and one.statistics is not None:
                bench.subject.task(one.statistics)
    if isinstance(bench.subject, VisionSubject):
        bench.subject.trained_on()
        reading = [one for cell in cells for one in (cell, cell.second) if one is not None]
        for request in {one.statistics_id: one.statistics for one in reading}.values():
            if request is not None:
                bench.subject.batches(request)
        _check_views(bench, bench.subject, {view for cell in cells for view in cell.views})


def _check_views(bench: Bench, subject: VisionSubject, views: Collection[str]) -> None:
    """Raise InputError for a view that cannot be read, or that leaves nothing of a half that is measured."""
    seen = subject.noisy.data.validation
    folders = view_folders(bench.training.data.name, bench.places.data_dir, bench.places.cache_dir)
    for view in sorted(views):
        left = load_view(view, bench.training.data.name, folders, seen.index, seen.labels)
        for half in ("selection", "report"):
            rows = getattr(subject.halves, f"validation_{half}")
            if left.dtype == torch.bool and not left[rows].any():
                raise InputError(
                    f"view '{view}' leaves none of the {len(rows)} validation images of the {half} half; take more "
                    "validation images, or leave the view out"
                )
