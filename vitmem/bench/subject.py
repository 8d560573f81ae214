"""What the stages have to know of a family of data and models: how to train, feed, predict and measure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from vitmem.bench.store import Store
from vitmem.blocks import Blocks
from vitmem.edits.base import Examples
from vitmem.kfac import Task
from vitmem.metrics.measure import AnyPredictions
from vitmem.specs import Statistics

# What a training that was stopped early leaves in its folder.
STOPPED = "stopped.json"
Say = Callable[[str], None]
Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Places:
    """Where a run reads and writes, and on what device; none of it enters an id."""

    store: Store
    data_dir: Path | None
    cache_dir: Path
    device: str = "auto"
    progress: bool = True


class Subject(Protocol):
    """One training's data, labels and network."""

    @property
    def net(self) -> nn.Module:
        """The network: in memory from the start, on the device once it is trained."""
        ...

    def seen(self) -> dict[str, str]:
        """Return digests, by name, of all that is trained on."""
        ...

    def patterns(self, blocks: Blocks, layers: Sequence[str] | None) -> list[str]:
        """Return the patterns of the editable layers in ``blocks``; raises InputError for one that is not there."""
        ...

    def train(self, folder: Path, say: Say) -> float:
        """Train ``net``, leave ``model.safetensors`` in ``folder`` and return the seconds of all sittings.

        A network that came trained leaves nothing and takes no time.
        """
        ...

    def task(self, request: Statistics) -> tuple[Task, str]:
        """Return how the engine reads a batch, and which positions count; raises InputError for others."""
        ...

    def batches(self, request: Statistics) -> tuple[Iterable[Any], int]:
        """Return the batches of the statistics and the number of examples in all of them."""
        ...

    def predict(self, weights: Weights) -> dict[str, Tensor]:
        """Return what is kept of the network under new weights, (n, ...) each: enough for every metric, without it."""
        ...

    def selection(self, weights: Weights) -> tuple[float, float]:
        """Return the accuracy in [0, 1] and the mean loss (nats) on the selection half under new weights."""
        ...

    def examples(self) -> Examples:
        """Return what is memorized on the selection half, as examples to forget, and others to keep."""
        ...

    def initial(self) -> nn.Module:
        """Return the network as it was before training; raises InputError for one that came trained."""
        ...

    def batch(self, inputs: Tensor, labels: Tensor) -> Any:
        """Return examples (n, ...) and their labels (n, ...) as the task reads them, on the network's device."""
        ...

    def predictions(self, stored: Mapping[str, Tensor], half: str) -> AnyPredictions:
        """Return what is measured on the ``selection`` or ``report`` half, from what ``predict`` gave (n, ...)."""
        ...

    def facts(self) -> dict[str, Any]:
        """Return what a row says of the data: ``counts`` and whatever else the family has, plain JSON types."""
        ...


def touched_block(blocks: Sequence[str], weights: Weights) -> int:
    """Return the number of the first of ``blocks`` that has one of the ``weights``; 0 when one lies in none of them."""
    within = [[n for n, block in enumerate(blocks) if f"{path}.".startswith(f"{block}.")] for path in weights]
    return min((min(numbers, default=0) for numbers in within), default=0)


def device_of(net: nn.Module) -> torch.device:
    """Return where the parameters of ``net`` lie."""
    return next(net.parameters()).device
