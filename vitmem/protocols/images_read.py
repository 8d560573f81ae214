"""The images for the statistics of an image classifier."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from vitmem.bench.cells import SourceShared, choose
from vitmem.bench.experiment import Places
from vitmem.data.augment import augmented, draw_corners, draw_mirrored, normalise
from vitmem.data.fitted import fitted
from vitmem.data.load import load_data
from vitmem.data.noisy import Halves, NoisyImages
from vitmem.data.sets import ImageData
from vitmem.data.split import some_of
from vitmem.data.streamed import Images
from vitmem.errors import InputError
from vitmem.specs import Statistics, seed_from


@dataclass(frozen=True)
class Read:
    """``rows`` (n,) of ``images`` (N, C, H, W) uint8 with labels (N,); for another dataset the SHA-256 of the rows."""

    images: Images
    labels: Tensor
    rows: Tensor
    sha256: str | None = None


def images_read(request: Statistics, noisy: NoisyImages, halves: Halves, places: Places) -> Read:
    """Return the training images with their given labels, or others that ``request`` names, all or a random subset.

    ``held_out`` selects the selection half of the validation images; ``source`` the training images of another dataset,
    of which the first ``images`` are read, as from a stream. For both, labels are zeros. ``classes`` selects training
    images with these given labels, ``without`` the others. Raises InputError for too many images, unknown classes, and
    a source that the network cannot read.
    """
    images: Images = noisy.data.train.images
    labels, where = noisy.given, "statistics: 'images'"
    if request.source is not None:
        return _of_source(request, noisy.data, places)
    if request.held_out:
        images = noisy.data.validation.take(halves.validation_selection).images
        if not len(images):
            raise InputError("statistics: 'held_out': the selection half has no image; take more validation images")
        labels = torch.zeros(len(images), dtype=torch.int64)
    candidates = torch.arange(len(images))
    for key, classes in (("classes", request.classes), ("without", request.without)):
        if classes is not None:
            candidates = candidates[_of_classes(labels, classes, key, noisy.data.num_classes)]
    # a random subset: files may be sorted by class
    rows = some_of(len(candidates), request.images or len(candidates), 0, where)
    return Read(images, labels, candidates[rows])


def _of_classes(given: Tensor, classes: Sequence[int], key: str, count: int) -> Tensor:
    """Return a mask of the labels ``given`` (N,) to read; raises InputError for unknown classes."""
    if outside := [number for number in classes if not 0 <= number < count]:
        raise InputError(f"statistics: '{key}': expected classes 0 to {count - 1}, got {outside[0]}")
    selected = torch.isin(given, torch.tensor(classes)) ^ (key == "without")
    if not selected.any():
        raise InputError(f"statistics: '{key}': no training image is left; name other classes")
    return selected


def _of_source(request: Statistics, data: ImageData, places: Places) -> Read:
    """Return the first images of another dataset, in the network's image format."""
    source = choose(SourceShared, request.source or {})
    whole = load_data(
        source.entry,
        places.data_dir,
        places.cache_dir,
        train=source.shared.train,
        validation=1,
        seed=seed_from("source", source.config),
    ).train.images
    count = request.images or len(whole)
    if not 0 < count <= len(whole):
        raise InputError(
            f"statistics: 'images': expected a number from 1 to {len(whole)}, all of 'source' {source.name}, got "
            f"{count}"
        )
    images = fitted(whole[:count], data.channels, data.size, source.name)
    sha256 = hashlib.sha256(repr(tuple(images.shape)).encode())
    sha256.update(images.contiguous().numpy().data)
    return Read(images, torch.zeros(count, dtype=torch.int64), torch.arange(count), sha256.hexdigest()[:16])


def batches_of(
    read: Read, request: Statistics, data: ImageData, device: torch.device, batch_size: int = 250
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the rows of ``read`` as batches of images (B, C, H, W), normalised as ``data`` are, and labels (B,).

    ``crop`` and ``flip`` of ``request`` change the images, the same way each time and independent of the batch.
    """
    generator, pad = Generator().manual_seed(seed_from("statistics", "augmentation")), request.crop or 0
    corners = draw_corners(len(read.rows), pad, generator)
    mirrored = draw_mirrored(len(read.rows), generator)
    for some, corner, mirror in zip(*(t.split(batch_size) for t in (read.rows, corners, mirrored)), strict=True):
        seen = augmented(read.images[some], pad, corner, mirror if request.flip else None)
        yield normalise(seen.to(device), data.mean, data.std), read.labels[some].to(device)
