"""The training of an image classifier on given labels, or as an oracle."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lightning.pytorch import Callback

from vitmem.bench.experiment import STOPPED
from vitmem.bench.store import write_json
from vitmem.specs import seed_from
from vitmem.training.early import KeepBest
from vitmem.training.fit import train
from vitmem.training.pace import Enough, Pace

if TYPE_CHECKING:
    from vitmem.protocols.image import ImageExperiment

log = logging.getLogger(__name__)


def train_images(experiment: ImageExperiment, folder: Path, callbacks: Sequence[Callback] = ()) -> float:
    """Train the network of ``experiment`` in place unless it came trained; see ``vitmem.training.fit.train``.

    Early stopping writes ``stopped.json``: the epoch of the kept weights, and the accuracy by epoch.
    """
    training, places = experiment.training, experiment.places
    for remark in experiment.noisy.data.remarks:
        log.warning(remark)
    config, recipe = training.config, training.recipe
    if recipe is None:
        return 0.0
    seed = seed_from("train", *(config[k] for k in ("data", "noise", "model", "recipe", "seed")))
    best = KeepBest(lambda: experiment.selection({})[0]) if training.oracle == "early_stopped" else None
    seconds = train(
        experiment.model,
        experiment.trained_on(),
        recipe.with_options(places.trainer),
        seed,
        folder,
        shown=experiment.noisy,
        best=best,
        only=experiment.classifier,
        callbacks=callbacks,
        device=places.device,
    )
    if best is not None:
        write_json(folder / STOPPED, {"epoch": best.epoch, "selection": best.measured})
    return seconds


def pace_of(experiment: ImageExperiment, folder: Path, steps: int) -> Pace:
    """Return the measured time of ``steps`` training steps, which change the network; ``folder`` is for their logs."""
    pace = Pace(steps)
    with suppress(Enough):
        train_images(experiment, folder, [pace])
    return pace
