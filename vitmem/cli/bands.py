"""``vitmem bands``: memorized and other examples beside each other in the bands of each layer's spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vitmem.bench.bands import write_bands
from vitmem.bench.plan import make_plan
from vitmem.bench.plugins import load_plugins
from vitmem.bench.store import Store
from vitmem.bench.subject import Places
from vitmem.bench.suite import load_suite
from vitmem.training.fit import pick_device


def bands(
    suite: Path,
    data_dir: Path | None,
    results: Path,
    store: Path,
    cache_dir: Path,
    device: str,
    plugins: Sequence[str],
) -> None:
    """Write ``bands.csv`` of every training of ``suite``."""
    load_plugins(plugins)
    plan = make_plan(load_suite(suite), suite)
    pick_device(device)
    places = Places(Store(store), data_dir, cache_dir.expanduser(), device, progress=False)
    print(f"wrote {write_bands(plan, places, results)}")
