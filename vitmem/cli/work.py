"""``vitmem work``: one of several workers of a suite with a shared store."""

from __future__ import annotations

import _thread
import re
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vitmem.bench.current import finished_ids, rows_of
from vitmem.bench.plan import make_plan
from vitmem.bench.plugins import load_plugins
from vitmem.bench.suite import load_suite
from vitmem.cli.exits import INTERRUPTED
from vitmem.cli.options import (
    CacheDir,
    DataDir,
    Device,
    Plugin,
    Results,
    Store,
    SuiteFile,
    Trainer,
    suite_word,
    trainer_options,
)
from vitmem.cli.run import outcome_text
from vitmem.errors import InputError, VitmemError, shown
from vitmem.progress import bars
from vitmem.reports.render import counted

if TYPE_CHECKING:
    from vitmem.bench.work import Event

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def work(
    suite: SuiteFile,
    store: Store = Path("store"),
    until: Annotated[str | None, typer.Option(help="stop after this time, such as 55m or 2h")] = None,
    data_dir: DataDir = None,
    results: Results = Path("results"),
    device: Device = "auto",
    trainer: Trainer = None,
    cache_dir: CacheDir = Path("~/.cache/vitmem"),
    plugin: Plugin = None,
    progress: Annotated[bool, typer.Option(help="show progress bars on a terminal")] = True,
) -> None:
    """Work on a suite together with other workers on the same store; 'vitmem run' then collects the rows.

    A worker takes the next free training, makes its rows, and repeats until none is left. After a kill or a stop,
    another worker resumes the training from its last epoch.

    Example: vitmem work cifar10_noise10_small --store /shared/store --until 55m
    """
    from vitmem.bench import store as stores
    from vitmem.bench.experiment import Places
    from vitmem.bench.work import work as go_on
    from vitmem.training.fit import pick_device

    load_plugins(plugin or ())
    plan = make_plan(load_suite(suite), suite, data_dir)
    pick_device(device)
    stop = _Stop(None if until is None else seconds_of(until))
    places = Places(stores.Store(store), data_dir, cache_dir, device, trainer_options(trainer))
    made = {"ok": 0, "failed": 0}

    def row_made(event: Event) -> None:
        job, row = event
        made[row["status"]] += 1
        print(f"[{sum(made.values())}] {job}: {outcome_text(row)}", flush=True)

    try:
        with bars(progress), stop:
            go_on(plan, places, finished_ids(rows_of(results / plan.suite.name / "rows.jsonl")), row_made)
    except KeyboardInterrupt:
        if not stop.is_due:
            print("\nstopped; the same command continues from here", file=sys.stderr)
            sys.exit(INTERRUPTED)
        print(f"stopped after {until}; the same command continues from here")
    print(f"{plan.suite.name}: {counted(sum(made.values()), 'row')} made here, {made['failed']} failed")
    if made["failed"]:
        raise VitmemError(f"{counted(made['failed'], 'cell')} failed; 'vitmem status' gives the reasons")
    word = suite_word(suite)
    print(f"vitmem status {word} shows what is left; vitmem run {word} collects the rows")


class _Stop:
    """Interrupts the block after ``seconds``, as Ctrl-C does; never for ``None``."""

    def __init__(self, seconds: float | None) -> None:
        self.is_due = False
        self._timer = None if seconds is None else threading.Timer(seconds, self._end)

    def _end(self) -> None:
        self.is_due = True
        _thread.interrupt_main()

    def __enter__(self) -> None:
        if self._timer is not None:
            # background processes of a shell ignore SIGINT by default
            self._handler = signal.signal(signal.SIGINT, signal.default_int_handler)
            self._timer.daemon = True
            self._timer.start()

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            signal.signal(signal.SIGINT, self._handler)


def seconds_of(text: str) -> float:
    """Return the seconds of a duration such as 90s, 55m or 2h; raises InputError for other texts."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if found is None or not float(found[1]):
        raise InputError(f"--until: expected a time such as 90s, 55m or 2h, got {shown(text)}")
    return float(found[1]) * UNITS[found[2]]
