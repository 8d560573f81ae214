"""What the stages have to know of a family of data and models: how to train, feed, predict and measure."""

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

# What a training that was stopped early leaves in its folder.
STOPPED = "stopped.json"
Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Places:
    """Where a run reads and writes, and on what devices; none of it enters an id.

    The options of the ``trainer`` win over those of a recipe.
    """

    store: Store
    data_dir: Path | None
    cache_dir: Path
    device: str = "auto"
    trainer: TrainerOptions = field(default_factory=TrainerOptions)


class Experiment(ABC):
    """One training's data, labels and network: what the function of a registered protocol returns."""

    # whether cells are measured beside the network without the matrices that they edit
    predicts_ablated: ClassVar[bool] = False
    training: Training
    # the layers, by path, whose hidden units are tied to examples in training
    tied: Mapping[str, ExampleTied] = MappingProxyType({})

    @property
    def images(self) -> tuple[NoisyImages, Halves] | None:
        """The labelled images and their halves; ``None`` where there are none."""
        return None

    def check(self, cells: Collection[Cell]) -> None:  # noqa: B027  most data have nothing more to check
        """Raise InputError before anything is trained for what ``cells`` ask of the data and these do not have."""

    def source(self, request: Statistics) -> dict[str, str] | None:
        """Return name and digest of another data set that statistics are collected over, ``None`` where it is none."""
        return None

    def completed(self, found: AnyPredictions, ablated: AnyPredictions | None, views: Sequence[str]) -> AnyPredictions:
        """Return predictions of a half with those of the ablated network beside them, and with ``views``."""
        return found

    @property
    @abstractmethod
    def net(self) -> nn.Module:
        """The network: in memory from the start, on the device once it is trained."""

    @abstractmethod
    def data_digests(self) -> dict[str, str]:
        """Return digests, by name, of all that is trained on."""

    @abstractmethod
    def patterns(self, blocks: Blocks, layers: Sequence[str] | None) -> list[str]:
        """Return the patterns of the editable layers in ``blocks``; raises InputError for one that is not there."""

    @abstractmethod
    def train(self, folder: Path) -> float:
        """Train ``net``, leave ``model.safetensors`` in ``folder`` and return the seconds of all sittings.

        A network that came trained leaves nothing and takes no time.
        """

    def pace(self, folder: Path, steps: int) -> Pace | None:
        """Return the measured time of ``steps`` training steps, logged in ``folder``; ``None`` where there is none."""
        return None

    @abstractmethod
    def task(self, request: Statistics) -> tuple[Task, str]:
        """Return how the engine reads a batch, and which positions count; raises InputError for others."""

    @abstractmethod
    def batches(self, request: Statistics) -> tuple[Iterable[Any], int]:
        """Return the batches of the statistics and the number of examples in all of them."""

    @abstractmethod
    def predict(self, weights: Weights) -> dict[str, Tensor]:
        """Return what is kept of the network under new weights, (n, ...) each: enough for every metric, without it."""

    @abstractmethod
    def selection(self, weights: Weights) -> tuple[float, float]:
        """Return the accuracy in [0, 1] and the mean loss (nats) on the selection half under new weights."""

    @abstractmethod
    def examples(self) -> Examples:
        """Return what is memorized on the selection half, as examples to forget, and others to keep."""

    @abstractmethod
    def initial(self) -> nn.Module:
        """Return the network as it was before training; raises InputError for one that came trained."""

    @abstractmethod
    def batch(self, inputs: Tensor, labels: Tensor) -> Any:
        """Return examples (n, ...) and their labels (n, ...) as the task reads them, on the network's device."""

    @abstractmethod
    def predictions(self, stored: Mapping[str, Tensor], half: str) -> AnyPredictions:
        """Return what is measured on the ``selection`` or ``report`` half, from what ``predict`` gave (n, ...)."""

    @abstractmethod
    def metadata(self) -> dict[str, Any]:
        """Return what a row says of the data: ``counts`` and whatever else the family has, plain JSON types."""


def touched_block(blocks: Sequence[str], weights: Weights) -> int:
    """Return the number of the first of ``blocks`` that has one of the ``weights``; 0 when one lies in none of them."""
    within = [[n for n, block in enumerate(blocks) if f"{path}.".startswith(f"{block}.")] for path in weights]
    return min((min(numbers, default=0) for numbers in within), default=0)


def device_of(net: nn.Module) -> torch.device:
    """Return where the parameters of ``net`` lie."""
    return next(net.parameters()).device
