"""Images with given and true labels, split into halves for selection and report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vitmem.data.sets import ImageData
from vitmem.data.streamed import Images, StreamedImages
from vitmem.entries import Noise
from vitmem.errors import InputError
from vitmem.noise.base import NoiseContext, NoisyLabels, described, make
from vitmem.noise.pixels import Pixels


@dataclass(frozen=True)
class Halves:
    """Positions (int64, sorted) of the selection images and of the report images.

    Noisy ones are positions in the training set, the others in the validation set. The halves are disjoint, so
    selection does not use reported images.
    """

    noisy_selection: Tensor
    noisy_report: Tensor
    validation_selection: Tensor
    validation_report: Tensor


@dataclass(frozen=True)
class NoisyImages:
    """A dataset with the training labels given by ``labels``."""

    data: ImageData
    labels: NoisyLabels

    @cached_property
    def given(self) -> Tensor:
        """The training labels, (N,) int64."""
        return torch.from_numpy(self.labels.given)

    @cached_property
    def true(self) -> Tensor:
        """The true labels, (N,) int64."""
        return torch.from_numpy(self.labels.clean)

    @cached_property
    def noisy(self) -> Tensor:
        """Whether the given label is wrong, (N,) bool."""
        return torch.from_numpy(self.labels.changed)

    def with_true_labels(self) -> NoisyImages:
        """Return the same images with their true labels."""
        clean = self.labels.clean
        labels = described(clean, clean, np.zeros(len(clean), np.bool_), self.data.num_classes)
        return NoisyImages(self.data, labels)

    def without_noisy(self) -> NoisyImages:
        """Return the images with right given labels, normalised like all; raises InputError when there are none."""
        rows = torch.nonzero(~self.noisy).flatten()
        if not len(rows):
            raise InputError(
                f"data '{self.data.name}': every training label is wrong, so none is left without them; leave it out"
            )
        part = replace(self.data, train=self.data.train.take(rows))
        given, clean, chosen = (v[rows.numpy()] for v in (self.labels.given, self.labels.clean, self.labels.chosen))
        return NoisyImages(part, described(given, clean, chosen, part.num_classes))

    def halves(self, seed: int) -> Halves:
        """Split wrong labels and validation images into halves; with an odd count report has one more."""
        generator = torch.Generator().manual_seed(seed)
        noisy = _halves(torch.nonzero(self.noisy).flatten(), generator)
        validation = _halves(torch.arange(len(self.data.validation)), generator)
        return Halves(*noisy, *validation)


def _halves(rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    shuffled = rows[torch.randperm(len(rows), generator=generator)]
    middle = len(rows) // 2
    return shuffled[:middle].sort().values, shuffled[middle:].sort().values


def _indexed(images: Images) -> Any:
    """Return ``images`` as noise models read them, without torch: an array, or the streamed images themselves."""
    return images if isinstance(images, StreamedImages) else images.numpy()


def add_noise(data: ImageData, noise: Noise, seed: int, data_dir: Path | None = None) -> NoisyImages:
    """Draw the given labels of ``data``'s training images from the noise model ``noise``.

    ``data_dir`` is a folder for files that the noise reads. Raises InputError as the noise model does.
    """
    context = NoiseContext(
        dataset=data.name,
        num_classes=data.num_classes,
        coarse=data.coarse,
        extra_labels=data.train.extra_labels,
        pixels=Pixels(_indexed(data.train.images), data.mean.numpy(), data.std.numpy()),
        index=data.train.index.numpy(),
        data_dir=data_dir,
        classes=data.classes,
        total=data.total,
        files=data.files,
    )
    labels = make(noise, data.train.labels.numpy(), context, seed)
    remarks = _remarks(noise.name, labels, data.num_classes)
    return NoisyImages(replace(data, remarks=(*data.remarks, *remarks)) if remarks else data, labels)


def _remarks(noise: str, labels: NoisyLabels, num_classes: int) -> tuple[str, ...]:
    """Return a sentence about labels that are read, not drawn at a rate, and hardly those that were meant."""
    if labels.nominal is not None or noise == "none" or not len(labels.given):
        return ()
    if not labels.changed.any():
        return (f"noise '{noise}': all {len(labels.given)} given labels are the true ones",)
    if 1 - labels.realised < 1 / num_classes:
        right = f"{100 * (1 - labels.realised):.1f} %"
        return (f"noise '{noise}': {right} of the given labels are true, fewer than by chance; is their order right?",)
    return ()
