"""Subjects of the contract of a model plug-in: a network, random examples, and their task."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from vitmem.adapters.vision import VisionTask
from vitmem.edits.base import EditContext, EditResult
from vitmem.edits.kfac import Kfac
from vitmem.entries import Model
from vitmem.kfac import Factors, Task, find_layers, fit
from vitmem.models.base import ImageShape, Network, VisionModel, build

IMAGES = ImageShape(channels=3, size=32, num_classes=10)
EXAMPLES = 12


class ModelUnderTest(ABC):
    """The network under test, its builder, and twelve examples with the expected output shape."""

    inputs: Tensor
    labels: Tensor
    expected: tuple[int, ...]  # shape of the logits of one example

    def __init__(self, entry: Model, architecture: str | None) -> None:
        self.entry, self.architecture = entry, architecture
        self.model = self.again(0)
        generator = torch.Generator().manual_seed(0)
        self.draw(generator)
        self.net = copy.deepcopy(self.model.net).eval()
        # some architectures start with a zero head or branch, which blocks gradients
        with torch.no_grad():
            for parameter in self.net.parameters():
                parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))

    @abstractmethod
    def again(self, seed: int) -> Network:
        """Build the network again."""

    @abstractmethod
    def draw(self, generator: torch.Generator) -> None:
        """Draw inputs (12, ...) and labels (12, ...)."""

    @abstractmethod
    def forward(self, net: nn.Module, inputs: Tensor) -> Any:
        """Return the output for ``inputs``, expected to be logits (n, *expected)."""

    @abstractmethod
    def task(self) -> tuple[Task, Callable[[Tensor, Tensor], Any]]:
        """Return the task, and the function that makes a batch of inputs (n, ...) and labels (n, ...)."""

    @torch.no_grad()
    def logits(self) -> Tensor:
        """Return the logits (12, ...) of all examples."""
        logits: Tensor = self.forward(self.net, self.inputs)
        return logits

    def layers(self) -> dict[str, nn.Module]:
        """Return the editable layers by path."""
        return find_layers(self.net, self.model.editable("all"))

    def statistics(self, batch_size: int) -> Factors:
        """Return the statistics of all examples, ``batch_size`` per batch."""
        task, batch = self.task()
        pairs = zip(self.inputs.split(batch_size), self.labels.split(batch_size), strict=True)
        # diagonals suffice for an edit and avoid the spectra of wide layers
        return fit(self.net, self.layers(), task, (batch(*pair) for pair in pairs), seed=0, moments="diagonal")

    @cached_property
    def whole(self) -> Factors:
        """The statistics of all examples in one batch."""
        return self.statistics(EXAMPLES)

    def edit(self, mass: float) -> EditResult:
        """Return K-FAC's edit of all editable layers at ``mass``."""
        context = EditContext(self.net, self.layers(), self.whole, seed=0)
        return Kfac(mass=mass, importance="identity").edit(context)


class ImageModelUnderTest(ModelUnderTest):
    """Images (12, 3, 32, 32) with labels (12,)."""

    model: VisionModel
    expected = (IMAGES.num_classes,)

    def again(self, seed: int) -> VisionModel:
        """Build the network again."""
        return build(self.entry, IMAGES, seed, self.architecture)

    def draw(self, generator: torch.Generator) -> None:
        """Draw inputs (12, ...) and labels (12, ...)."""
        self.inputs = torch.randn(EXAMPLES, IMAGES.channels, IMAGES.size, IMAGES.size, generator=generator)
        self.labels = torch.randint(IMAGES.num_classes, (EXAMPLES,), generator=generator)

    def forward(self, net: nn.Module, inputs: Tensor) -> Any:
        """Return the output for ``inputs``, expected to be logits (n, *expected)."""
        return net(inputs)

    def task(self) -> tuple[Task, Callable[[Tensor, Tensor], Any]]:
        """Return the task, and the function that makes a batch of inputs (n, ...) and labels (n, ...)."""
        positions = VisionTask(positions=self.model.positions, prefix_tokens=self.model.prefix_tokens)
        return positions, lambda images, labels: (images, labels)
