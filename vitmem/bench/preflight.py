"""What can be known to be wrong before anything is trained, told in one sentence."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch

from vitmem.bench.cells import Cell, Training
from vitmem.bench.experiment import Places
from vitmem.bench.plan import Job
from vitmem.bench.stages import Session, open_session
from vitmem.errors import InputError
from vitmem.training.checks import check_recipe
from vitmem.training.extras import check_loggers, user_callbacks
from vitmem.training.fit import pick_device


def check_jobs(jobs: Sequence[Job], places: Places) -> None:
    """Raise InputError for any of ``jobs``, as each of them would when it begins, before the first of them is trained.

    Jobs whose noise, network, recipe and oracle are those of earlier ones are passed over, and so is the first one,
    which is checked when it begins. What fails for another reason becomes rows in its own time.
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
    """Raise InputError before anything is trained when a cell names blocks, layers or positions that are not there.

    The same holds for statistics of more images than there are, or of crops that leave nothing of them, for views
    whose files are missing, belong to another order of the images or leave none of them, and for an oracle that has
    nothing to train on, and for a recipe that the network or the device cannot be trained with.
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
    """Raise InputError for options of the trainer that this machine or the data do not fit."""
    if training.recipe is None:
        return
    options = training.recipe.with_options(places.trainer).options
    check_loggers(options.logger or ())
    user_callbacks(options)
    devices, parts = options.devices or 1, options.accumulate_grad_batches or 1
    if training.protocol != "image" and devices * parts > 1:
        which = "devices" if devices > 1 else "accumulate_grad_batches"
        raise InputError(
            f"trainer: '{which}': networks on text are trained on one device, a batch at a time; leave it out"
        )
    if devices == 1:
        return
    device = pick_device(places.device)
    if device.index is not None:
        raise InputError(
            f"--device {places.device} is one device, trainer: 'devices' says {devices}; take --device cuda"
        )
    if device.type == "cuda" and (there := torch.cuda.device_count()) < devices:
        raise InputError(f"trainer: 'devices': this machine has {there} CUDA devices, got {devices}; take fewer")
