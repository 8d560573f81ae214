"""Streamed images of 224 pixels: asserts that memory does not grow with their number, and the speed of their loader.

Memory: a process loads a folder of JPEG files, computes channel statistics and fingerprint and reads an epoch; the
growth of its highest memory, and of its workers', between 1,000 and 10,000 files is at most 0.05 of what the further
images take decoded. Speed: an epoch takes at most 1 / 0.9 of the CPU seconds, all processes together, that a
``DataLoader`` over torchvision's ``ImageFolder`` takes with the same transforms and workers; the median over epochs
measured in turns. ``--quick``: fewer files and wide limits.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from timing import Claims, assert_claims, options
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from vitmem.data.augment import normalise
from vitmem.data.augmentation import Augmentation
from vitmem.data.load import load_data
from vitmem.data.module import NoisyImagesModule
from vitmem.data.noisy import NoisyImages, add_noise
from vitmem.recipe import Recipe
from vitmem.registry import DATA, NOISES

SIZE, WORKERS, BATCH, CLASSES = 224, 2, 64, 4
DISTINCT = 40  # JPEG files that differ; the others are links to them
RECIPE = Recipe(epochs=1, batch_size=BATCH, random_resized_crop=(0.08, 1.0))
DECODED = 3 * SIZE**2


def write(folder: Path, count: int, side: int) -> Path:
    """Write ``count`` training images, ``side`` pixels high, and a few for validation, by class."""
    generator = np.random.default_rng(0)
    (folder / "distinct").mkdir(parents=True)
    for number in range(DISTINCT):
        coarse = Image.fromarray(generator.integers(0, 256, (side // 8, side // 6, 3), dtype=np.uint8))
        picture = coarse.resize((side * 5 // 4, side), Image.Resampling.BICUBIC)
        picture.save(folder / "distinct" / f"{number}.jpg", quality=90)
    for split, images in (("train", count), ("val", 8)):
        for number in range(images):
            inside = folder / "pictures" / split / f"class {number % CLASSES}"
            inside.mkdir(parents=True, exist_ok=True)
            os.link(folder / "distinct" / f"{number % DISTINCT}.jpg", inside / f"{number}.jpg")
    return folder


def streamed(home: Path) -> NoisyImages:
    """Return the streamed images in ``home`` with a tenth of the labels wrong."""
    pictures = DATA.get("image_folder").parse({"folder": "pictures", "size": SIZE, "loading": "stream"}, "data")
    data = load_data(pictures, home, home / "cache")
    return add_noise(data, NOISES.get("symmetric").parse({"rate": 0.1}, "noise"), 0)


def epoch(noisy: NoisyImages, number: int) -> int:
    """Read the images of an epoch and return how many there were."""
    augmentation = Augmentation.of(RECIPE, SIZE, noisy.data.mean)
    module = NoisyImagesModule(noisy, batch_size=BATCH, seed=0, augmentation=augmentation)
    return sum(len(images) for images, _, _ in module.batches(number))


def bare_epoch(folder: ImageFolder, mean: torch.Tensor, std: torch.Tensor) -> int:
    """Read the images of an epoch by torch and torchvision alone."""
    loader = DataLoader(folder, batch_size=BATCH, shuffle=True, num_workers=WORKERS)
    return sum(len(normalise(images, mean, std)) for images, _ in loader)


def highest_memory(home: Path, sent: multiprocessing.connection.Connection) -> None:
    """Send the highest memory of this process and of its largest worker in bytes, after all that reads images."""
    torch.set_num_threads(WORKERS)
    noisy = streamed(home)
    assert noisy.data.fingerprint and epoch(noisy, 0) == len(noisy.given)
    used = [resource.getrusage(who).ru_maxrss * 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    sent.send(used)


def memory(counts: tuple[int, int], root: Path) -> dict[str, float]:
    """Return the growth of the highest memory between two numbers of images, as a share of that of decoded images."""
    found = []
    for count in counts:
        ours, theirs = multiprocessing.Pipe()
        home = write(root / str(count), count, 64)  # small files, as time is not measured
        process = multiprocessing.get_context("spawn").Process(target=highest_memory, args=(home, theirs))
        process.start()
        theirs.close()
        found.append(ours.recv())
        process.join()
        print(f"{count:,} images: {found[-1][0] / 2**20:.0f} MiB, a worker {found[-1][1] / 2**20:.0f} MiB")
    further = (counts[1] - counts[0]) * DECODED
    names = "memory that a further image takes", "memory that it takes in a worker"
    return {name: max(0, b - a) / further for name, a, b in zip(names, *found, strict=True)}


def speed(count: int, repeats: int, root: Path) -> float:
    """Return the CPU seconds of an epoch as a share of those of torch and torchvision alone."""
    torch.set_num_threads(WORKERS)
    noisy = streamed(write(root / "speed", count, 240))
    mean, std = noisy.data.mean, noisy.data.std
    changes = [v2.PILToTensor(), v2.RandomResizedCrop(SIZE, (0.08, 1.0), antialias=True)]
    folder = ImageFolder(str(root / "speed" / "pictures" / "train"), v2.Compose(changes))
    runs: dict[str, Callable[[int], int]] = {
        "bare": lambda number: bare_epoch(folder, mean, std),
        "streamed": lambda number: epoch(noisy, number),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            before, started = cpu_seconds(), time.perf_counter()
            assert run(repeat) == count
            if repeat:
                seconds[name].append(cpu_seconds() - before)
                rates[name].append(count / (time.perf_counter() - started))
    told = ", ".join(f"{name} {statistics.median(found):.0f} images/s" for name, found in rates.items())
    print(f"{WORKERS} workers: {told}")
    return statistics.median(ours / theirs for ours, theirs in zip(seconds["streamed"], seconds["bare"], strict=True))


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    """Measure and assert."""
    quick = options(__doc__).parse_args().quick
    counts, count, repeats = ((300, 600), 64, 1) if quick else ((1_000, 10_000), 1_000, 4)
    growth, slower = (0.6, 3.0) if quick else (0.05, 1 / 0.9)

    def measure() -> Claims:
        with tempfile.TemporaryDirectory() as folder:
            grown = memory(counts, Path(folder))
            ratio = speed(count, repeats, Path(folder))
        return {**{name: (share, growth) for name, share in grown.items()}, "CPU seconds of an epoch": (ratio, slower)}

    assert_claims(measure)


if __name__ == "__main__":
    main()
