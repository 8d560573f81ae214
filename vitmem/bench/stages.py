"""A training's experiment and its first stage: the training, kept in the store and read when it is there."""

from __future__ import annotations

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
except ImportError:  # of Windows
    resource = None  # type: ignore[assignment]


@dataclass
class Session:
    """One training's experiment, ready for its stages; ``factors`` (with their id) are kept between evaluations.

    ``second`` are those of a second set of inputs. ``cells`` are those to come: the statistics that they read are
    collected together.
    """

    training: Training
    places: Places
    experiment: Experiment
    cells: Sequence[Cell] = ()
    factors: tuple[str, Factors] | None = None
    second: tuple[str, Factors] | None = None
    # the digest of the trained weights, of a network that was trained here
    weights: str | None = None
    # what evaluations share: the predictions of the unedited network by half
    base: dict[str, AnyPredictions] | None = None
    # the same of the network without the matrices that an edit changes, by the evaluation that has them
    ablated: dict[str, dict[str, AnyPredictions]] = field(default_factory=dict)
    _layers: dict[tuple[str, ...], dict[str, nn.Module]] = field(default_factory=dict)

    def layers(self, blocks: Blocks, layers: Sequence[str] | None) -> dict[str, nn.Module]:
        """Return path -> layer of the editable ``layers`` in ``blocks``; raises InputError for one that is not there.

        They are looked for once: checking that a weight is what a layer computes with takes longer than most edits.
        """
        patterns = tuple(self.experiment.patterns(blocks, layers))
        if patterns not in self._layers:
            self._layers[patterns] = find_layers(self.experiment.net, patterns)
        return dict(self._layers[patterns])

    @property
    def device(self) -> torch.device:
        """The device that the stages run on."""
        return pick_device(self.places.device)

    @property
    def devices(self) -> int:
        """The number of devices of the training and its statistics, each with a process."""
        return self.training.devices(self.places.trainer)

    @property
    def made_from(self) -> dict[str, str]:
        """Digests of what statistics and evaluations are made from, as the store keeps them."""
        return {} if self.weights is None else {"weights": self.weights}


def open_session(training: Training, places: Places, cells: Sequence[Cell] = ()) -> Session:
    """Load the data and build the untrained network of a training, for ``cells`` of it."""
    return Session(training, places, PROTOCOLS.get(training.protocol)().open(training, places), cells)


def ensure_training(session: Session) -> None:
    """Train the network, or read the trained weights when the store has them.

    Raises InputError when the data or labels are not those that the stored weights were trained on.
    """
    experiment, seen = session.experiment, session.experiment.data_digests()
    folder = session.places.store.make(
        "training", session.training.id, lambda folder: _train(session, folder, seen), resumed=CHECKPOINTS
    )
    recorded = read_json(folder / "training.json")
    for what, digest in seen.items():
        if recorded.get(what, digest) != digest:
            raise InputError(
                f"{folder}: it was trained on other {what} than '{session.training.data.name}' has now; put the "
                "old files back, or give another folder with --store"
            )
    session.weights = listed(folder).get(WEIGHTS)
    if session.weights is not None:  # a model that came trained keeps its weights where it came from
        experiment.net.load_state_dict(load_file(folder / WEIGHTS))
    experiment.net.to(session.device).eval()


def _train(session: Session, folder: Path, seen: Mapping[str, str]) -> None:
    recipe = session.training.recipe
    if recipe is not None:
        log.info("training")
    if recipe is not None and recipe.precision == "bf16" and emulates_bfloat16(session.device):
        log.warning('this processor has no bfloat16: it trains several times faster with precision: "32" in the recipe')
    reset_peak_memory(session.device)
    resumed = resumable(folder / CHECKPOINTS) is not None
    with ranks(session.devices, session.device, _prepared, session.training, session.places, folder):
        seconds = session.experiment.train(folder)
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
    """Return what another process of a training runs."""
    session = open_session(training, places)
    return lambda: session.experiment.train(folder)


def reset_peak_memory(device: torch.device) -> None:
    """Begin a new peak; a processor's peak is that of the whole process and cannot begin anew."""
    if device.type == "cuda":
        torch.cuda.init()  # before anything lies on the GPU its statistics refuse every device
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int:
    """Return the largest memory in bytes: on a GPU since the last reset, else of the process so far; 0 if not known."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if resource is None:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
