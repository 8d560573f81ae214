"""``vitmem analyse``: analyses of the trained networks of a suite."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vitmem.cli.options import CacheDir, DataDir, Device, Plugin, Results, Store, SuiteFile, follow_up
from vitmem.progress import bars


def analyse(
    suite: SuiteFile,
    only: Annotated[
        list[str] | None,
        typer.Option(help="bands, spectrum, fisher, stability, detection or learned; may be repeated"),
    ] = None,
    data_dir: DataDir = None,
    results: Results = Path("results"),
    store: Store = Path("store"),
    cache_dir: CacheDir = Path("~/.cache/vitmem"),
    device: Device = "auto",
    plugin: Plugin = None,
) -> None:
    """Analyse the trained networks of a suite: one CSV file per analysis in results/<suite>/analyses.

    Example: vitmem analyse demo --only spectrum
    """
    from vitmem.bench import store as stores
    from vitmem.bench.analyses.write import write_analyses
    from vitmem.bench.experiment import Places
    from vitmem.bench.plan import make_plan
    from vitmem.bench.plugins import load_plugins
    from vitmem.bench.suite import load_suite
    from vitmem.training.fit import pick_device

    load_plugins(plugin or ())
    plan = make_plan(load_suite(suite), suite, data_dir)
    pick_device(device)
    places = Places(stores.Store(store), data_dir, cache_dir, device)
    with bars():
        for path in write_analyses(plan, places, results, only or ()):
            print(f"wrote {path}")
    drawn = (follow_up(verb, results=results) for verb in ("tables", "figures"))
    page = follow_up("report", plan.suite.name, results=results, store=store)
    print(f"tables and figures of them: {'; '.join(drawn)}; {page}")
