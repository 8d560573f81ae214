"""Training through Lightning against a plain loop: asserts at least 0.9 of its images/s.

Both train the same ViT on the same uint8 tensors in memory with the same crops, flips, precision, clip and schedule.
The Lightning side is ``vitmem.training.fit.train`` with logging and checkpoints; its first epoch (warm-up) and last
epoch (curves) are excluded. Epochs of both are measured in turns; the ratio is the median over turns, so that a busy
machine slows both sides. On a CPU both have one thread, as each worker of a suite has. ``--quick``: a few images in
float32, where the checkpoint takes most of the time.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from timing import options
from torch.nn import functional

import vitmem.training.fit as fit
from vitmem.data.augment import crop, draw_corners, draw_mirrored, flip, normalise
from vitmem.data.noisy import NoisyImages, add_noise
from vitmem.data.sets import ImageSet, assemble
from vitmem.models.base import ImageShape, VisionModel, build
from vitmem.recipe import Recipe
from vitmem.registry import MODELS, NOISES
from vitmem.training.optim import optimizer
from vitmem.training.schedule import schedule

LIMIT = 0.9
EPOCHS = 2  # epochs per turn
SHAPE = ImageShape(channels=3, size=32, num_classes=10)


class Timed(fit.ModelCheckpoint):
    """Records the time after each epoch's checkpoint."""

    ends: list[float]

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        Timed.ends.append(time.perf_counter())


def problem(images: int) -> NoisyImages:
    """Return random images with 10 % wrong labels."""
    generator = torch.Generator().manual_seed(0)
    parts = []
    for count in (images, 128):
        pixels = torch.randint(256, (count, SHAPE.channels, SHAPE.size, SHAPE.size), generator=generator)
        labels = torch.randint(SHAPE.num_classes, (count,), generator=generator)
        parts.append(ImageSet(pixels.to(torch.uint8), labels, torch.arange(count)))
    data = assemble("random", parts[0], parts[1], tuple("0123456789"))
    return add_noise(data, NOISES.get("symmetric").parse({"rate": 0.1}, "noise"), 0)


def model() -> VisionModel:
    """Return the ViT of the small suite: width 192, 6 blocks, patches of 8 pixels."""
    return build(MODELS.get("vit").parse({}, "model"), SHAPE, 0)


def through_lightning(noisy: NoisyImages, recipe: Recipe, device: torch.device) -> list[float]:
    """Return seconds for each epoch but the first and the last."""
    Timed.ends = []
    with tempfile.TemporaryDirectory() as folder:
        fit.train(model(), noisy, recipe, 0, Path(folder), device=str(device))
    return [end - start for start, end in pairwise(Timed.ends)][:EPOCHS]


def bare(noisy: NoisyImages, recipe: Recipe, device: torch.device) -> list[float]:
    """Return seconds for each epoch but the first of the same training without Lightning."""
    images, given = noisy.data.train.images.to(device), noisy.given.to(device)
    mean, std = noisy.data.mean.to(device), noisy.data.std.to(device)
    net = model().net.to(device).train()
    steps = -(-len(given) // recipe.batch_size)
    chosen = optimizer(net, recipe)
    by_step = schedule(chosen, recipe, steps * (EPOCHS + 1), steps)
    generator = torch.Generator().manual_seed(0)
    ends = []
    for _ in range(EPOCHS + 1):
        order = torch.randperm(len(given), generator=generator).to(device)
        for rows in order.split(recipe.batch_size):
            batch = crop(images[rows], recipe.crop, draw_corners(len(rows), recipe.crop, generator))
            batch = flip(batch, draw_mirrored(len(rows), generator))
            chosen.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
                loss = functional.cross_entropy(net(normalise(batch, mean, std)).float(), given[rows])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), recipe.clip or 1.0)
            chosen.step()
            by_step.step()
        loss.item()  # waits for the device
        ends.append(time.perf_counter())
    return [end - start for start, end in pairwise(ends)]


def main() -> None:
    """Measure in turns and assert the ratio."""
    parser = options(__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--images", type=int, help="images an epoch (1,280 on a CPU, 50,000 on a GPU)")
    parser.add_argument("--repeats", type=int)
    asked = parser.parse_args()
    device, limit = fit.pick_device(asked.device), 0.3 if asked.quick else LIMIT
    if device.type == "cpu":
        torch.set_num_threads(1)
    images = asked.images or (128 if asked.quick else 50_000 if device.type == "cuda" else 1_280)
    noisy = problem(images)
    precision = "32" if asked.quick else "bf16"
    recipe = Recipe(epochs=EPOCHS + 2, batch_size=128, crop=1, flip=True, curve_every=1000, precision=precision)
    fit.ModelCheckpoint = Timed  # type: ignore[misc]
    times: dict[str, list[float]] = {"bare": [], "lightning": []}
    for _ in range(asked.repeats or (1 if asked.quick else 4)):
        times["bare"] += bare(noisy, recipe, device)
        times["lightning"] += through_lightning(noisy, recipe, device)
    speed = {name: images / statistics.median(seconds) for name, seconds in times.items()}
    ratio = statistics.median(b / t for b, t in zip(times["bare"], times["lightning"], strict=True))
    where = f"{torch.get_num_threads()} CPU threads"
    if device.type == "cuda":
        where = torch.cuda.get_device_name(device)
    print(f"{where}: bare loop {speed['bare']:.0f}, through Lightning {speed['lightning']:.0f} images/s")
    print(f"ratio {ratio:.3f} (limit {limit})")
    assert ratio >= limit, "training through Lightning is too slow"


if __name__ == "__main__":
    main()
