"""A sweep over the last block of a ViT with 12 blocks: asserts its cost against full evaluations, and equal logits.

Predictions of all images under sixteen edits of the last block, through the stage that evaluates a cell, float32.
Times are CPU seconds of one thread. The first edit also pays for what is kept: two passes of the unedited network,
of which one is full.

- the sweep takes at most 0.25 times the same sweep by full passes
- the same logits
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import vitmem.catalogue
from vitmem.bench.store import Store
from vitmem.bench.subject import Places
from vitmem.bench.vision import VisionSubject, vision_subject
from vitmem.kfac import find_layers
from vitmem.methods.base import EditContext
from vitmem.methods.svd import svd
from vitmem.training.tail import BUDGET_BYTES, Tails

EDITS, LIMIT = 16, 0.25
CONFIG: dict[str, Any] = {
    "data": {"name": "digits", "train": 600, "validation": 200},
    "noise": {"name": "symmetric", "rate": 0.1},
    "model": {"name": "vit", "patch_size": 2, "width": 96, "depth": 12, "heads": 3},
    "recipe": {"precision": "32"},
    "seed": 0,
}
assert vitmem.catalogue  # registers the built-in entries


def sweep(subject: VisionSubject, budget: int) -> tuple[float, list[dict[str, Tensor]]]:
    """Return the CPU seconds of a sweep with ``budget`` bytes to keep, and what each of its evaluations gives."""
    context = EditContext(subject.net, find_layers(subject.net, subject.patterns("last", None)), None, seed=0)
    edits = [svd(context, rank_fraction=n / (EDITS + 1)).weights for n in range(1, EDITS + 1)]
    subject.tails = Tails(subject.net, subject.model.blocks, budget)
    started = time.process_time()
    found = [subject.predict(weights) for weights in edits]
    return time.process_time() - started, found


def main() -> None:
    """Time both sweeps and compare."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subject = vision_subject(CONFIG, Places(Store(folder / "store"), None, folder / "cache", "cpu"))
    subject.predict({})  # warms up
    whole, full = sweep(subject, budget=0)
    tail, reused = sweep(subject, BUDGET_BYTES)
    apart = max(
        float((one[part].double() - other[part].double()).abs().max())
        for one, other in zip(full, reused, strict=True)
        for part in ("logits", "validation_logits")
    )
    distinct = len({bytes(one["logits"].numpy()) for one in full})
    images = CONFIG["data"]["train"] + CONFIG["data"]["validation"]
    print(f"{EDITS} edits of the last of 12 blocks, {images:,} images: {tail:.1f} s of CPU, full passes {whole:.1f} s")
    print(f"sweep / full evaluations: {tail / whole:.3f} (limit {LIMIT}); logits apart by {apart:.1e} (limit 0)")
    assert distinct == EDITS, "edits that predict the same would hide a wrong tail"
    assert apart == 0
    assert tail / whole <= LIMIT


if __name__ == "__main__":
    main()
