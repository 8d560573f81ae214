"""``vitmem analyse``: what is inside the trained networks of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vitmem.bench.analyses.write import write_analyses
from vitmem.bench.experiment import Places
from vitmem.bench.plan import make_plan
from vitmem.bench.plugins import load_plugins
from vitmem.bench.store import Store
from vitmem.bench.suite import load_suite
from vitmem.training.fit import pick_device


def analyse(
    suite: Path,
    only: Sequence[str] | None,
    data_dir: Path | None,
    results: Path,
    store: Path,
    cache_dir: Path,
    device: str,
    plugins: Sequence[str],
) -> None:
    """Write the files of the analyses ``only`` (none: all) of every training of ``suite``."""
    load_plugins(plugins)
    plan = make_plan(load_suite(suite), suite, data_dir)
    pick_device(device)
    places = Places(Store(store), data_dir, cache_dir, device, progress=False)
    for path in write_analyses(plan, places, results, only or ()):
        print(f"wrote {path}")
