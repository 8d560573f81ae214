"""``vitmem submit``: workers of a suite on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vitmem.bench.current import finished_ids, rows_of
from vitmem.bench.executors.slurm import submit as submit_workers
from vitmem.bench.journal import rows_in_store
from vitmem.bench.plan import make_plan
from vitmem.bench.plugins import load_plugins
from vitmem.bench.suite import load_suite
from vitmem.cli.options import (
    CacheDir,
    DataDir,
    Plugin,
    Results,
    Store,
    SuiteFile,
    Trainer,
    key_values,
    suite_word,
    trainer_options,
)
from vitmem.errors import InputError
from vitmem.files import read_text
from vitmem.parsing import parse_yaml
from vitmem.reports.render import counted
from vitmem.shipped import shipped


def submit(
    suite: SuiteFile,
    option: Annotated[
        list[str] | None, typer.Option("-E", help="a SLURM option, such as partition=gpu; may be repeated")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(help="a YAML file of SLURM options, or the name of a shipped one such as one_gpu")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="number of array tasks, each with 'slots' workers")] = 4,
    trainer: Trainer = None,
    data_dir: DataDir = None,
    store: Store = Path("store"),
    results: Results = Path("results"),
    cache_dir: CacheDir = Path("~/.cache/vitmem"),
    plugin: Plugin = None,
) -> None:
    """Submit workers of a suite to SLURM; 'vitmem status' shows their progress, 'vitmem run' collects the rows.

    All nodes need access to the folders. SLURM requeues a task after preemption or at its time limit.

    Example: vitmem submit cifar10_noise10_small -E partition=gpu -E gpus_per_node=1 -E timeout_min=240
    """
    load_plugins(plugin or ())
    plan = make_plan(load_suite(suite), suite, data_dir)
    options = {**(_options(cluster) if cluster else {}), **key_values(option or (), "-E")}
    ran = trainer_options(trainer)
    rows = rows_of(results / plan.suite.name / "rows.jsonl")
    done = finished_ids(rows)
    done |= finished_ids(rows_in_store(plan, store, done))
    jobs, word = plan.jobs(done), suite_word(suite)
    if not jobs:
        print(f"{plan.suite.name}: every cell has a row; nothing is submitted. vitmem run {word} writes the tables")
        return
    devices = max(job.training.devices(ran) for job in jobs)
    if devices > 1 and options.get("slots", 1) != 1:
        raise InputError(
            f"-E slots={options['slots']} with trainings on {devices} devices each: expected one of them above 1; "
            "leave 'slots' out, or take 'devices: 1'"
        )
    folders = {"--store": store, "--results": results, "--cache-dir": cache_dir, "--data-dir": data_dir}
    places = [part for name, path in folders.items() if path for part in (name, str(path.expanduser().resolve()))]
    plugins = [part for one in plugin or () for part in ("--plugin", _resolved(one))]
    given = [part for one in trainer or () for part in ("-T", one)]
    tasks = min(workers, len(jobs))
    logs = store.resolve() / "slurm" / plan.suite.name
    ids = submit_workers(plan.suite.name, [str(suite.resolve()), *places, *plugins, *given], logs, tasks, options)
    cells = counted(sum(len(job.cells) for job in jobs), "cell")
    print(f"{plan.suite.name}: {cells} in {counted(len(jobs), 'training')} to do, {counted(tasks, 'task')} submitted")
    print(f"jobs {', '.join(ids[:3])}{' ...' if len(ids) > 3 else ''}; logs: {logs}")
    print(f"vitmem status {word} shows their progress; vitmem run {word} collects the rows")


def _options(cluster: str) -> dict[str, object]:
    """Return the options of a file, given by path or by the name of a shipped one."""
    path = Path(cluster)
    if not path.is_file() and path.suffix not in (".yaml", ".yml"):
        path = shipped("clusters") / f"{cluster}.yaml"
    found = parse_yaml(read_text(path, "a YAML file of SLURM options"), str(path))
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected options such as 'partition: gpu', got {type(found).__name__}")
    return {str(name): value for name, value in found.items()}


def _resolved(plugin: str) -> str:
    return str(Path(plugin).resolve()) if plugin.endswith(".py") else plugin
