"""The interface between the stages and a family of data and models: training, batches, predictions, metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vitmem.bench.cells import Cell, Training
from vitmem.bench.store import Store
from vitmem.blocks import Blocks
from vitmem.data.noisy import Halves, NoisyImages
from vitmem.edits.base import Examples
from vitmem.kfac import Task
from vitmem.metrics.measure import AnyPredictions
from vitmem.recipe import ExampleTied
from vitmem.specs import Statistics
from vitmem.trainer import TrainerOptions
from vitmem.training.pace import Pace

# The file of an early-stopped training in its folder.
STOPPED = "stopped.json"
Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Places:
    """The folders and the device of a run; no id depends on them.

    ``trainer`` overrides the trainer options of a recipe.
    """

    store: Store
    data_dir: Path | None
    cache_dir: Path
    device: str = "auto"
    trainer: TrainerOptions = field(default_factory=TrainerOptions)


class Experiment(ABC):
    """The data, labels and network of one training, as opened by a registered protocol."""

    # whether metrics of a cell need the predictions of the network with the edited matrices at zero
    predicts_ablated: ClassVar[bool] = False
    training: Training
    # path -> options of the layers with example-tied hidden units
    tied: Mapping[str, ExampleTied] = MappingProxyType({})

    @property
    def images(self) -> tuple[NoisyImages, Halves] | None:
        """The labelled images and their halves; ``None`` without images."""
        return None

    def check(self, cells: Collection[Cell]) -> None:  # noqa: B027  most data need no further check
        """Raise InputError before training if ``cells`` need something that the data lack."""

    def source(self, request: Statistics) -> dict[str, str] | None:
        """Return name and digest of the other data set of the statistics, ``None`` for the training data."""
        return None

    def completed(self, found: AnyPredictions, ablated: AnyPredictions | None, views: Sequence[str]) -> AnyPredictions:
        """Return the predictions of a half, completed by those of the ablated network and by ``views``."""
        return found

    @property
    @abstractmethod
    def net(self) -> nn.Module:
        """The network: in memory at first, on the device after training."""

    @abstractmethod
    def data_digests(self) -> dict[str, str]:
        """Return name -> digest of the training data."""

    @abstractmethod
    def patterns(self, blocks: Blocks, layers: Sequence[str] | None) -> list[str]:
        """Return the patterns of the editable layers in ``blocks``; raises InputError for a missing block or layer."""

    @abstractmethod
    def train(self, folder: Path) -> float:
        """Train ``net``, write ``model.safetensors`` to ``folder`` and return the seconds, those before a resume too.

        A network that is trained already writes nothing and takes 0 seconds.
        """

    def pace(self, folder: Path, steps: int) -> Pace | None:
        """Return the measured time of ``steps`` training steps, logged in ``folder``; ``None`` where there is none."""
        return None

    @abstractmethod
    def task(self, request: Statistics) -> tuple[Task, str]:
        """Return the engine's task and the token positions of the statistics; raises InputError for other positions."""

    @abstractmethod
    def batches(self, request: Statistics) -> tuple[Iterable[Any], int]:
        """Return the batches of the statistics and the number of examples in all of them."""

    @abstractmethod
    def predict(self, weights: Weights) -> dict[str, Tensor]:
        """Return the stored predictions under new weights, (n, ...) each; every metric needs only these."""

    @abstractmethod
    def selection(self, weights: Weights) -> tuple[float, float]:
        """Return the accuracy in [0, 1] and the mean loss (nats) on the selection half under new weights."""

    @abstractmethod
    def examples(self) -> Examples:
        """Return the memorized examples of the selection half to forget, and others to retain."""

    @abstractmethod
    def initial(self) -> nn.Module:
        """Return the network before training; raises InputError for one that is trained already."""

    @abstractmethod
    def batch(self, inputs: Tensor, labels: Tensor) -> Any:
        """Return examples (n, ...) and labels (n, ...) as a batch of the task, on the network's device."""

    @abstractmethod
    def predictions(self, stored: Mapping[str, Tensor], half: str) -> AnyPredictions:
        """Return the predictions on the ``selection`` or ``report`` half, from the output of ``predict``, (n, ...)."""

    @abstractmethod
    def metadata(self) -> dict[str, Any]:
        """Return the data fields of a row: ``counts`` and fields of the family, plain JSON types."""


def touched_block(blocks: Sequence[str], weights: Weights) -> int:
    """Return the number of the first of ``blocks`` with one of ``weights``; 0 if a weight lies outside all blocks."""
    within = [[n for n, block in enumerate(blocks) if f"{path}.".startswith(f"{block}.")] for path in weights]
    return min((min(numbers, default=0) for numbers in within), default=0)


def device_of(net: nn.Module) -> torch.device:
    """Return the device of the parameters of ``net``."""
    return next(net.parameters()).device
