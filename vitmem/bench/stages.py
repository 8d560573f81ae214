"""The session of a training and its first stage: the training, stored or read from the store."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from vitmem.bench.cells import Cell, Training
from vitmem.bench.environment import environment
from vitmem.bench.experiment import STOPPED, Experiment, Places
from vitmem.bench.manifest import listed
from vitmem.bench.ranks import ranks
from vitmem.bench.records import TrainingRecord
from vitmem.bench.store import read_json, write_json
from vitmem.blocks import Blocks
from vitmem.errors import InputError
from vitmem.kfac import Factors, find_layers
from vitmem.metrics.measure import AnyPredictions
from vitmem.registry import PROTOCOLS
from vitmem.training.checkpoint import CHECKPOINTS, resumable
from vitmem.training.fit import WEIGHTS, emulates_bfloat16, pick_device

log = logging.getLogger(__name__)

try:
    import resource
except ImportError:  # on Windows
    resource = None  # type: ignore[assignment]


@dataclass
class Session:
    """The open experiment of one training; ``factors`` (with their id) stay in memory between evaluations.

    ``second`` has the factors of a second set of inputs. ``cells`` are the remaining cells; one pass collects the
    statistics of all of them.
    """

    training: Training
    places: Places
    experiment: Experiment
    cells: Sequence[Cell] = ()
    factors: tuple[str, Factors] | None = None
    second: tuple[str, Factors] | None = None
    # the digest of the trained weights, for a network trained here
    weights: str | None = None
    # half -> predictions of the unedited network, shared by all evaluations
    base: dict[str, AnyPredictions] | None = None
    # evaluation id -> the same for the network with the edited matrices at zero
    ablated: dict[str, dict[str, AnyPredictions]] = field(default_factory=dict)
    _layers: dict[tuple[str, ...], dict[str, nn.Module]] = field(default_factory=dict)

    def layers(self, blocks: Blocks, layers: Sequence[str] | None) -> dict[str, nn.Module]:
        """Return path -> layer of the editable ``layers`` in ``blocks``; raises InputError for a missing one.

        The result is cached, since the check of a layer's weights takes longer than most edits.
        """
        patterns = tuple(self.experiment.patterns(blocks, layers))
        if patterns not in self._layers:
            self._layers[patterns] = find_layers(self.experiment.net, patterns)
        return dict(self._layers[patterns])

    @property
    def device(self) -> torch.device:
        """The device of the stages."""
        return pick_device(self.places.device)

    @property
    def devices(self) -> int:
        """The number of devices of the training and its statistics, one process each."""
        return self.training.devices(self.places.trainer)

    @property
    def made_from(self) -> dict[str, str]:
        """Digests of the inputs of statistics and evaluations, as in the store."""
        return {} if self.weights is None else {"weights": self.weights}


def open_session(training: Training, places: Places, cells: Sequence[Cell] = ()) -> Session:
    """Load the data of a training and build its untrained network, for its ``cells``."""
    return Session(training, places, PROTOCOLS.get(training.protocol)().open(training, places), cells)


def ensure_training(session: Session) -> None:
    """Train the network, or load the trained weights from the store.

    Raises InputError if the data or labels differ from those of the stored training.
    """
    experiment, seen = session.experiment, session.experiment.data_digests()
    folder = session.places.store.make(
        "training", session.training.id, lambda folder: _train(session, folder, seen), resumed=CHECKPOINTS
    )
    recorded = read_json(folder / "training.json")
    for what, digest in seen.items():
        if recorded.get(what, digest) != digest:
            raise InputError(
                f"{folder}: the {what} of '{session.training.data.name}' changed since this training; restore the "
                "old files, or give another folder with --store"
            )
    session.weights = listed(folder).get(WEIGHTS)
    if session.weights is not None:  # the store has no weights of a model that is trained already
        experiment.net.load_state_dict(load_file(folder / WEIGHTS))
    experiment.net.to(session.device).eval()


def _train(session: Session, folder: Path, seen: Mapping[str, str]) -> None:
    recipe = session.training.recipe
    if recipe is not None:
        log.info("training")
    if recipe is not None and recipe.precision == "bf16" and emulates_bfloat16(session.device):
        log.warning('this CPU has no native bfloat16; precision: "32" in the recipe is several times faster')
    reset_peak_memory(session.device)
    resumed = resumable(folder / CHECKPOINTS) is not None
    with ranks(session.devices, session.device, _prepared, session.training, session.places, folder):
        seconds = session.experiment.train(folder)
    gc.collect()  # a trainer refers to itself, and its images and weights would stay for many trainings
    record: TrainingRecord = {
        "config": session.training.config,
        "training_seconds": seconds,
        "training_resumed": resumed,
        "peak_memory_bytes": peak_memory(session.device),
        "environment": environment(session.device, session.devices),
    }
    if (stopped := folder / STOPPED).exists():
        record["stopped"] = read_json(stopped)
    write_json(folder / "training.json", {**record, **seen})


def _prepared(training: Training, places: Places, folder: Path) -> Callable[[], object]:
    """Return the function of the other processes of a training."""
    session = open_session(training, places)
    return lambda: session.experiment.train(folder)


def reset_peak_memory(device: torch.device) -> None:
    """Reset the peak of a GPU; the peak of a CPU process cannot be reset."""
    if device.type == "cuda":
        torch.cuda.init()  # the reset fails for every device before CUDA is initialised
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int:
    """Return the peak memory in bytes: of a GPU since the last reset, of a CPU process so far; 0 if unknown."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if resource is None:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
