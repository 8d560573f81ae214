"""A sweep over the last block of a ViT with 12 blocks: asserts its cost against full evaluations, and equal logits.

Predictions of all images under sixteen edits of the last block, through the evaluation stage, float32. Times are CPU
seconds of one thread. The first edit includes the cost of the cache: two passes of the unedited network, one of them
full. ``--quick``: half the blocks, edits and images.

- the sweep takes at most 0.25 times the same sweep by full passes
- the same logits
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from timing import Claims, assert_claims, options
from torch import Tensor

from vitmem.bench.cells import as_training
from vitmem.bench.experiment import Places
from vitmem.bench.store import Store
from vitmem.edits.base import EditContext
from vitmem.edits.svd import Svd
from vitmem.kfac import find_layers
from vitmem.protocols.image import ImageExperiment, image_experiment
from vitmem.training.tail import BUDGET_BYTES, Tails

# Relative to a sweep by full passes: two passes, a twelfth (a sixth) of one per edit, and a margin for overhead.
LIMIT, QUICK_LIMIT = 0.25, 0.6
CONFIG: dict[str, Any] = {
    "data": {"name": "digits", "train": 600, "validation": 200},
    "noise": {"name": "symmetric", "rate": 0.1},
    "model": {"name": "vit", "patch_size": 2, "width": 96, "depth": 12, "heads": 3},
    "recipe": {"epochs": 1, "precision": "32"},
    "seed": 0,
}


def sweep(experiment: ImageExperiment, count: int, budget: int) -> tuple[float, list[dict[str, Tensor]]]:
    """Return the CPU seconds of a sweep of ``count`` edits with a cache of ``budget`` bytes, and the logits of each."""
    context = EditContext(experiment.net, find_layers(experiment.net, experiment.patterns("last", None)), None, seed=0)
    edits = [Svd(rank_fraction=n / (count + 1)).edit(context).weights for n in range(1, count + 1)]
    experiment.tails = Tails(experiment.net, experiment.model.blocks, budget)
    started = time.process_time()
    found = [experiment.predict(weights) for weights in edits]
    return time.process_time() - started, found


def compared(experiment: ImageExperiment, count: int, limit: float) -> Claims:
    """Time both sweeps, assert equal predictions, and return the ratio with its limit."""
    whole, full = sweep(experiment, count, budget=0)
    tail, reused = sweep(experiment, count, BUDGET_BYTES)
    apart = max(
        float((one[part].double() - other[part].double()).abs().max())
        for one, other in zip(full, reused, strict=True)
        for part in ("logits", "validation_logits")
    )
    distinct = len({bytes(one["logits"].numpy()) for one in full})
    print(
        f"{count} edits of the last of {len(experiment.model.blocks)} blocks: {tail:.1f} s of CPU, full {whole:.1f} s"
    )
    print(f"logits apart by {apart:.1e} (limit 0)")
    assert distinct == count, "edits that predict the same would hide a wrong tail"
    assert apart == 0
    return {"sweep / full evaluations": (tail / whole, limit)}


def main() -> None:
    """Time both sweeps and compare."""
    quick = options(__doc__).parse_args().quick
    torch.set_num_threads(1)
    config = CONFIG
    if quick:
        smaller = {"data": {"train": 300, "validation": 100}, "model": {"depth": 6}}
        config = {**CONFIG, **{part: {**CONFIG[part], **change} for part, change in smaller.items()}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        experiment = image_experiment(
            as_training(config), Places(Store(folder / "store"), None, folder / "cache", "cpu")
        )
    experiment.predict({})  # warms up
    assert_claims(lambda: compared(experiment, 8 if quick else 16, QUICK_LIMIT if quick else LIMIT))


if __name__ == "__main__":
    main()
