"""Trainings on a Ray cluster, one task each; rows come back through the store that all nodes see, and as events."""

from __future__ import annotations

import importlib
import importlib.util
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from vitmem.bench.experiment import Places
from vitmem.bench.plan import Plan
from vitmem.bench.plugins import load_plugins
from vitmem.bench.work import Event, OnEvent, work
from vitmem.errors import InputError, VitmemError, one_line, unknown

LOCAL = "local"
# Seconds within which the head of a cluster answers.
REACH = 10.0
# What a task may ask for, by Ray's names.
OPTIONS = ("num_cpus", "num_gpus", "memory", "resources", "accelerator_type", "max_retries")


@dataclass(frozen=True)
class RayCluster:
    """The Ray cluster at ``address`` (``local``: one of this machine); ``options`` are what a training asks for.

    ``num_gpus: 0.25`` lets four trainings share a GPU. A task whose node is lost is begun again up to ``max_retries``
    times, from the last epoch.
    """

    address: str
    options: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Raise InputError for an option that a task has not, or without Ray."""
        for name in self.options:
            if name not in OPTIONS:
                raise unknown("option of Ray", name, OPTIONS)
        if importlib.util.find_spec("ray") is None:
            raise InputError("--executor ray needs Ray: pip install 'vitmem[ray]'")

    def __call__(
        self, plan: Plan, places: Places, done: Collection[str], plugins: Sequence[str], on_event: OnEvent
    ) -> None:
        """Make the rows of ``plan`` that are not ``done`` and tell ``on_event`` of each when its training is over."""
        ray = importlib.import_module("ray")
        with self._joined(ray):
            task = ray.remote(**{"num_cpus": 1, "max_retries": 3, **self.options})(_make_rows)
            since = places.store.claims.now()
            left = [
                # in a list: Ray unpickles the plan when the task asks for it, its plug-ins imported
                task.remote([ray.put(replace(plan, cells=job.cells))], places, since, tuple(plugins))
                for job in plan.jobs(done)
            ]
            while left:
                (ready, *_), left = ray.wait(left)
                for event in self._events(ray, ready):
                    on_event(event)

    def _events(self, ray: Any, ready: Any) -> list[Event]:
        try:
            found: list[Event] = ray.get(ready)
        except ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, VitmemError) else VitmemError(one_line(error)) from None
        except ray.exceptions.RayError as error:
            raise VitmemError(
                f"Ray lost a task: {one_line(error)}; run the same command again, finished work is kept"
            ) from error
        return found

    @contextmanager
    def _joined(self, ray: Any) -> Iterator[None]:
        """Be a driver of the cluster; it is never one that an environment variable names."""
        if ray.is_initialized():  # by who calls this from Python
            yield
            return
        try:
            if self.address not in (LOCAL, "auto"):  # Ray itself would try for minutes
                host, _, port = self.address.rpartition(":")
                socket.create_connection((host, int(port)), timeout=REACH).close()
            ray.init(address=self.address, log_to_driver=False, logging_level="ERROR")
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(
                f"--address: no Ray cluster at '{self.address}' ({one_line(error)[:200]}); expected host:port of one, "
                f"or '{LOCAL}'"
            ) from error
        try:
            yield
        finally:
            ray.shutdown()


def _make_rows(plan: Sequence[Any], places: Places, since: float, plugins: Sequence[str]) -> list[Event]:
    """Make the rows of one training, in a process of Ray; ``plan`` is its reference, in a list."""
    load_plugins(plugins)
    events: list[Event] = []
    work(importlib.import_module("ray").get(plan[0]), places, (), events.append, since)
    return events
