"""The queue: asserts that two workers need at most 30 s for claims and records of 1,000 empty trainings.

A plug-in replaces the training on 60 digits by none. The remaining cost is the overhead of the package: claims, folders
of the store with their manifests, rows, and images and networks of 60 digits. ``--quick``: 40 trainings and a wide
limit.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from timing import options

from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.runner import run_suite
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite

PLUGIN = '''
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file

from vitmem.registry import DATA, MODELS, PROTOCOLS


@PROTOCOLS.register("nothing")
def nothing(training, places):
    """Images, and a training of no time."""
    experiment = PROTOCOLS.get("image")().open(training, places)

    def train(folder: Path) -> float:
        save_file(experiment.net.state_dict(), folder / "model.safetensors")
        return 0.0

    experiment.train = train
    return experiment


@DATA.register("nothing", protocol="nothing", measured_as="image")
def few_digits(data_dir, cache_dir):
    """60 digits to train on, 20 to validate."""
    return few(data_dir, cache_dir)


@cache
def few(data_dir, cache_dir):
    data = DATA.get("digits")().load(data_dir=data_dir, cache_dir=cache_dir)
    return replace(data, train=data.train.take(torch.arange(60)), validation=data.validation.take(torch.arange(20)))


MODELS.register("nothing", protocols=("nothing",))(MODELS.get("residual_mlp").defined_by())
'''
WORKERS, SEEDS, MOST_SECONDS = 2, 100, 30.0


def main() -> None:
    """Run the suite with two workers; print and assert the time of the trainings."""
    quick = options(__doc__).parse_args().quick
    trainings, limit = (40, 60.0) if quick else (1000, MOST_SECONDS)
    suite = {
        "name": "nothing",
        "plugins": ["nothing.py"],
        "seeds": list(range(min(SEEDS, trainings))),
        "data": {"name": "nothing"},
        "model": {"name": "nothing", "width": 8, "hidden": 8, "depth": 1, "patch_size": 4},
        "recipe": {"epochs": 1, "precision": "32", "lr": [1e-3 * (n + 1) for n in range(max(1, trainings // SEEDS))]},
        "edits": [{"method": "none"}],
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "nothing.py").write_text(PLUGIN)
        path = root / "nothing.yaml"
        path.write_text(json.dumps(suite))
        plan = make_plan(load_suite(path), path)
        assert len(plan.cells) == trainings
        places = Places(Store(root / "store"), None, root / "cache", "cpu")
        seen: list[float] = []
        outcome = run_suite(
            plan, places, root / "results", workers=WORKERS, on_event=lambda *_: seen.append(time.perf_counter())
        )
        assert (outcome.made, outcome.failed) == (trainings, 0)
        # from the first row on, to exclude the imports of the workers
        seconds = seen[-1] - seen[0]
    print(f"{trainings} trainings of nothing, {WORKERS} workers: {seconds:.1f} s (limit {limit:.0f} s)")
    assert seconds <= limit, f"{seconds:.1f} s for {trainings} trainings of nothing, expected at most {limit:.0f} s"


if __name__ == "__main__":
    main()
