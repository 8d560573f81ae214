"""Checks before training, with one-sentence errors."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch

from vitmem.bench.cells import Cell, Training
from vitmem.bench.experiment import Places
from vitmem.bench.plan import Job
from vitmem.bench.stages import Session, open_session
from vitmem.errors import InputError
from vitmem.training.extras import check_loggers, user_callbacks
from vitmem.training.fit import check_recipe, pick_device


def check_jobs(jobs: Sequence[Job], places: Places) -> None:
    """Run the checks of all ``jobs`` before the first training; raises InputError for an invalid job.

    Skips jobs with the same noise, network, recipe and oracle as earlier ones, and the first job, which runs its checks
    at its start. Other errors are ignored here and give failed rows later.
    """
    seen: set[Hashable] = set()
    for number, job in enumerate(jobs):
        one = job.training
        check_trainer(one, places)
        parts: set[Hashable] = {(one.data, one.noise), (one.data, one.model), (one.noise, one.oracle)}
        parts.add((one.model, one.recipe))
        if number and not parts <= seen:
            try:
                check_cells(open_session(one, places), job.cells)
            except InputError:
                raise
            except (Exception, SystemExit):
                continue
        seen |= parts


def check_cells(session: Session, cells: Sequence[Cell]) -> None:
    """Raise InputError before training if a cell does not fit the network, the data or the device.

    Examples: missing blocks, layers or positions; statistics of too many images or with too small crops; views with
    missing files or files in another order; an oracle without training images; a recipe unsupported by the network or
    the device.
    """
    check_trainer(session.training, session.places)
    if (recipe := session.training.recipe) is not None:
        check_recipe(recipe, session.experiment.net, session.device)
    for cell in cells:
        if cell.blocks is not None:
            session.layers(cell.blocks, cell.layers)
        for one in (cell, cell.second):
            if one is not None and one.statistics is not None:
                session.experiment.task(one.statistics)
    session.experiment.check(cells)


def check_trainer(training: Training, places: Places) -> None:
    """Raise InputError for trainer options unsupported by this machine or the data."""
    if training.recipe is None:
        return
    options = training.recipe.with_options(places.trainer).options
    check_loggers(options.logger or ())
    user_callbacks(options)
    devices, parts = options.devices or 1, options.accumulate_grad_batches or 1
    if training.protocol != "image" and devices * parts > 1:
        which = "devices" if devices > 1 else "accumulate_grad_batches"
        raise InputError(f"trainer: '{which}': training on text uses one device and whole batches; leave it out")
    if devices == 1:
        return
    device = pick_device(places.device)
    if device.index is not None:
        raise InputError(
            f"--device {places.device} is one device, but trainer: 'devices' is {devices}; use --device cuda"
        )
    if device.type == "cuda" and (there := torch.cuda.device_count()) < devices:
        raise InputError(f"trainer: 'devices': this machine has {there} CUDA devices, got {devices}; use fewer")
