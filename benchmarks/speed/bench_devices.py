"""Training in two CPU processes beside one: asserts at least 1.6 times its images/s, each process on a core of its own.

Both train the ViT of the small suite on the same images in memory by the same recipe, in float32; a batch of the two is
a batch of the one. Epochs of a run of each, without the first, which warms up, and the last, which measures the curves,
are timed in turns; the ratio is that of the fastest epochs, as others on the machine only slow an epoch down. The CPU
seconds of the first process are told too: what the sync of gradients costs beside waiting. ``--quick``: a few images in
small batches, of which the sync takes most of the time, and a wide limit.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from time import process_time

import torch
from bench_training import Timed, model, problem
from timing import options

import vitmem.training.fit as fit
from vitmem.bench.ranks import ranks
from vitmem.recipe import Recipe

LIMIT, QUICK_LIMIT = 1.6, 0.3
EPOCHS = 6  # measured in a turn


def trained(images: int, batch_size: int, core: int) -> None:
    """Train on one core, beside the other ranks if there are some."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    recipe = Recipe(epochs=EPOCHS + 2, batch_size=batch_size, crop=1, flip=True, curve_every=1000, precision="32")
    with tempfile.TemporaryDirectory() as folder:
        fit.train(model(), problem(images), recipe, 0, Path(folder), device="cpu")


def prepared(images: int, batch_size: int, core: int) -> Callable[[], object]:
    """Return what the second process runs."""
    return lambda: trained(images, batch_size, core)


def seconds(images: int, batch_size: int, cores: list[int]) -> tuple[float, float]:
    """Return the seconds of the fastest epoch, in a process for each of ``cores``, and CPU seconds of the first one.

    The CPU seconds are of the whole training.
    """
    Timed.ends = []
    with ranks(len(cores), torch.device("cpu"), prepared, images, batch_size, cores[-1]):
        started = process_time()
        trained(images, batch_size, cores[0])
        used = process_time() - started
    return min([end - start for start, end in pairwise(Timed.ends)][:EPOCHS]), used


def main() -> None:
    """Measure in turns and assert the ratio."""
    parser = options(__doc__)
    parser.add_argument("--repeats", type=int)
    asked = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0, 1]
    if len(cores) < 2:
        print("two processes need two cores; nothing is measured")
        return
    images, batch_size = (128, 32) if asked.quick else (640, 128)
    fit.ModelCheckpoint = Timed  # type: ignore[misc]
    torch.set_num_threads(1)
    turns = range(asked.repeats or (1 if asked.quick else 3))
    found = [(seconds(images, batch_size, cores[:1]), seconds(images, batch_size, cores[:2])) for _ in turns]
    (one, alone), (two, beside) = (map(min, zip(*some, strict=True)) for some in zip(*found, strict=True))
    ratio, limit = one / two, QUICK_LIMIT if asked.quick else LIMIT
    print(f"one process {images / one:.0f}, two {images / two:.0f} images/s")
    print(f"CPU seconds of the first process: {alone:.1f} alone, {beside:.1f} of two")
    print(f"ratio {ratio:.3f} (limit {limit})")
    assert ratio >= limit, "two processes gain too little"


if __name__ == "__main__":
    main()
