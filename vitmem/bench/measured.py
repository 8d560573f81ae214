"""What the cells of a plan will take, from a few measured steps of training, statistics and prediction."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Collection, Mapping
from itertools import islice
from pathlib import Path

import torch
from torch import nn

from vitmem.bench.cells import Cell, Training
from vitmem.bench.costs import Measured, kind_of, recipe_of
from vitmem.bench.environment import environment
from vitmem.bench.experiment import Experiment, Places
from vitmem.bench.plan import Plan
from vitmem.bench.stages import Session, open_session, peak_memory, reset_peak_memory
from vitmem.bench.statistics import statistics_task
from vitmem.bench.store import Store
from vitmem.kfac import fit_for, make_spectra
from vitmem.training.predict import predict

log = logging.getLogger(__name__)
# Batches of the statistics and images to predict that are measured.
BATCHES, IMAGES = 2, 500
GPU = "cuda"


def measure(
    plan: Plan, done: Collection[str], data_dir: Path | None, cache_dir: Path, device: str, steps: int
) -> Measured:
    """Return the costs of the trainings on images of ``plan`` with cells that are not ``done``, one of each kind.

    A kind is a data set, a network and a recipe. The networks are untrained, which costs the same. A prediction counts
    for an edit; what a method computes beside it is not measured. Raises what opening a training raises.
    """
    todo = [cell for cell in plan.cells if cell.id not in done]
    found = Measured()
    seen: set[str] = set()
    with tempfile.TemporaryDirectory() as store:
        places = Places(Store(Path(store)), data_dir, cache_dir, device)
        for job in plan.jobs(done):
            key = recipe_of(job.training.config)
            if key in seen or job.training.protocol != "image":
                continue
            seen.add(key)
            log.info(f"measuring {job.label}")
            cells = [cell for cell in todo if recipe_of(cell.training.config) == key]
            _measure(job.training, cells, places, steps, found)
    return found


def _measure(training: Training, cells: Collection[Cell], places: Places, steps: int, found: Measured) -> None:
    session = open_session(training, places, [cell for cell in cells if cell.training.id == training.id])
    kind, device = kind_of(training.config), session.device
    reset_peak_memory(device)
    with tempfile.TemporaryDirectory() as folder:
        pace = session.experiment.pace(Path(folder), steps)
        if pace is not None and pace.seconds is not None:
            found.times[recipe_of(training.config)] = [pace.seconds * pace.total_steps]
        net = session.experiment.net.to(device).eval()
        found.stored["training", kind] = float(sum(t.numel() * t.element_size() for t in net.state_dict().values()))
        seconds, size = _prediction(session.experiment, net, training, device)
        found.stored["evaluation", kind] = size
        for method in {cell.method for cell in cells}:
            found.times[kind + method] = [seconds]
        reading = [cell for cell in session.cells if cell.statistics is not None]
        if reading:
            widest = max(reading, key=lambda cell: len(_layers(session, cell)))
            seconds, size = _statistics(session, widest, Path(folder))
            found.times[kind + "statistics"], found.stored["statistics", kind] = [seconds], size
    found.peak = max(found.peak or 0, peak_memory(device))
    described = environment(device)
    threads = f", {described['threads']} threads" if device.type != GPU else ""
    found.machine = f"{described['device_name']}{threads}"


def _prediction(
    experiment: Experiment, net: nn.Module, training: Training, device: torch.device
) -> tuple[float, float]:
    """Return the seconds and the stored bytes of a prediction of all images."""
    assert experiment.images is not None
    data = experiment.images[0].data
    total = len(data.train) + len(data.validation)
    some = data.train.images[torch.arange(min(IMAGES, len(data.train)))]
    started = time.perf_counter()
    precision = "32" if training.recipe is None else training.recipe.precision
    predict(net, some, data.mean, data.std, device, precision)
    seconds = (time.perf_counter() - started) / len(some) * total
    # logits in half precision, labels and indices
    return seconds, float(total * (2 * data.num_classes + 3 * 8))


def _layers(session: Session, cell: Cell) -> Mapping[str, nn.Module]:
    return session.layers("all" if cell.blocks is None else cell.blocks, cell.layers)


def _statistics(session: Session, cell: Cell, folder: Path) -> tuple[float, float]:
    """Return the seconds of the statistics that ``cell`` reads, by those of a few batches, and their bytes."""
    assert cell.request is not None
    asked = cell.request.statistics
    task, _ = statistics_task(session, asked)
    batches, total = session.experiment.batches(asked)
    some = list(islice(batches, BATCHES))
    started = time.perf_counter()
    layers = _layers(session, cell)
    options = {"labels": asked.labels, "label_samples": asked.label_samples, "seed": 0}
    factors = fit_for(session.experiment.net, layers, task, lambda: some, cell.request.moments, **options)
    passes = (time.perf_counter() - started) / sum(len(images) for images, _ in some) * total
    started = time.perf_counter()
    make_spectra(factors, cell.request.moments)
    spectra = time.perf_counter() - started
    factors.save(folder / "factors.safetensors", halved=True)
    return passes + spectra, float((folder / "factors.safetensors").stat().st_size)
