"""Workers on this machine: this process, or several processes with their own cores or GPU."""

from __future__ import annotations

import logging
import multiprocessing
import os
import queue
import threading
import traceback
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import replace
from logging.handlers import QueueHandler
from typing import Any

import torch

from vitmem.bench.experiment import Places
from vitmem.bench.plan import Plan
from vitmem.bench.plugins import load_plugins
from vitmem.bench.ranks import end_with_parent
from vitmem.bench.work import Event, OnEvent, work
from vitmem.errors import DiskFullError, InputError, VitmemError
from vitmem.progress import JobFormatter, Relay, Step, bars_shown, shown, shown_by


def run_local(
    plan: Plan, places: Places, done: Collection[str], workers: int, plugins: Sequence[str], on_event: OnEvent
) -> None:
    """Make the rows of ``plan`` that are not ``done`` and call ``on_event`` on each; one worker uses this process.

    Log messages and progress bars of several workers appear in this process. Raises InputError for several workers
    with several devices per training.
    """
    jobs = plan.jobs(done)
    workers = min(workers, len(jobs))
    devices = max((job.training.devices(places.trainer) for job in jobs), default=1)
    if workers > 1 and devices > 1:
        raise InputError(
            f"--workers {workers} with trainings on {devices} devices each: only one of them can be above 1; use "
            "--workers 1, or 'devices: 1'"
        )
    if workers == 1:
        work(plan, places, done, on_event)
    elif workers:
        _pool(plan, places, done, workers, plugins, on_event)


def _pool(
    plan: Plan, places: Places, done: Collection[str], workers: int, plugins: Sequence[str], on_event: OnEvent
) -> None:
    """Work in ``workers`` new processes, which end with this one."""
    level = logging.getLogger("vitmem").getEffectiveLevel()
    context = multiprocessing.get_context("spawn")
    plans: Any = context.Queue()  # a worker unpickles the plan after the import of its plug-ins
    events: Any = context.Queue()
    for _ in range(workers):
        plans.put(plan)
    given = plans, events, level, bars_shown(), places, tuple(done), places.store.claims.now(), tuple(plugins)
    # daemon processes may not start data loader workers; end_with_parent ends them instead
    pool = [context.Process(target=_work, args=(n, workers, *given)) for n in range(workers)]
    for process in pool:
        process.start()
    try:
        while any(p.is_alive() for p in pool) or not events.empty():
            try:
                event: Event | Step | logging.LogRecord | Exception = events.get(timeout=1)
            except queue.Empty:
                dead = [p for p in pool if p.exitcode not in (None, 0)]
                if dead:
                    raise _ended(dead[0]) from None
                continue
            if isinstance(event, Exception):
                raise event
            if isinstance(event, logging.LogRecord):
                logging.getLogger(event.name).handle(event)
            elif isinstance(event, Step):
                shown(event)
            else:
                on_event(event)
        if dead := [p for p in pool if p.exitcode]:
            raise _ended(dead[0])
    finally:
        for process in pool:
            process.terminate()


def _ended(process: Any) -> VitmemError:
    code = process.exitcode
    return VitmemError(f"a worker ended with exit code {code}; run the same command again, finished work is kept")


def _work(
    number: int,
    workers: int,
    plans: Any,
    events: Any,
    level: int,
    relayed: bool,
    places: Places,
    done: Collection[str],
    since: float,
    plugins: Sequence[str],
) -> None:
    """Work until no training is left, on the cores and the GPU of the worker ``number``.

    Sends rows, the final error, log records from ``level`` on and, if ``relayed``, progress steps to ``events``.
    """
    threading.Thread(target=end_with_parent, daemon=True).start()
    handler = QueueHandler(events)
    handler.setFormatter(JobFormatter())
    logger = logging.getLogger("vitmem")
    logger.addHandler(handler)
    logger.setLevel(level)
    places = replace(places, device=_share_out(number, workers, places.device))
    try:
        load_plugins(plugins)
        with shown_by(Relay(events.put)) if relayed else nullcontext():
            work(plans.get(), places, done, events.put, since)
    except KeyboardInterrupt:
        return
    except (InputError, DiskFullError) as error:
        events.put(error)
    except (Exception, SystemExit):
        events.put(VitmemError(f"a worker failed: {traceback.format_exc(limit=-3)}"))


def _share_out(number: int, workers: int, device: str) -> str:
    """Pin this process to its own cores, since two trainings on the same cores slow each other down; return the device.

    With more workers than cores each worker has one thread on any core.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    mine = cores if workers > len(cores) else cores[number::workers]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, mine)
    torch.set_num_threads(1 if workers > len(cores) else len(mine))
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return f"cuda:{number % torch.cuda.device_count()}"
    return device
