"""Trainings on a Ray cluster, one task each; rows return through the shared store and as events."""

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
# Timeout in seconds for the head of a cluster.
REACH = 10.0
# Ray's names of the task options.
OPTIONS = ("num_cpus", "num_gpus", "memory", "resources", "accelerator_type", "max_retries")


@dataclass(frozen=True)
class RayCluster:
    """The Ray cluster at ``address`` (``local``: one on this machine) with task ``options``.

    ``num_gpus: 0.25`` lets four trainings share a GPU. After the loss of a node, a task restarts from the last epoch,
    up to ``max_retries`` times.
    """

    address: str
    options: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Raise InputError for an unknown task option, or without Ray."""
        for name in self.options:
            if name not in OPTIONS:
                raise unknown("option of Ray", name, OPTIONS)
        if importlib.util.find_spec("ray") is None:
            raise InputError("--executor ray needs Ray: pip install 'vitmem[ray]'")

    def __call__(
        self, plan: Plan, places: Places, done: Collection[str], plugins: Sequence[str], on_event: OnEvent
    ) -> None:
        """Make the rows of ``plan`` that are not ``done``; call ``on_event`` on each at the end of its training."""
        ray = importlib.import_module("ray")
        with self._joined(ray):
            task = ray.remote(**{"num_cpus": 1, "max_retries": 3, **self.options})(_make_rows)
            since = places.store.claims.now()
            left = [
                # a reference in a list: the task unpickles the plan itself, after the import of its plug-ins
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
        """Connect to the cluster, ignoring the address in Ray's environment variables."""
        if ray.is_initialized():  # by a Python caller
            yield
            return
        try:
            if self.address not in (LOCAL, "auto"):  # ray.init would retry for minutes
                host, _, port = self.address.rpartition(":")
                socket.create_connection((host, int(port)), timeout=REACH).close()
            ray.init(address=self.address, log_to_driver=False, logging_level="ERROR")
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(
                f"--address: no Ray cluster at '{self.address}' ({one_line(error)[:200]}); expected its host:port, "
                f"or '{LOCAL}'"
            ) from error
        try:
            yield
        finally:
            ray.shutdown()


def _make_rows(plan: Sequence[Any], places: Places, since: float, plugins: Sequence[str]) -> list[Event]:
    """Make the rows of one training in a Ray process; ``plan`` is a list with a reference to the plan."""
    load_plugins(plugins)
    events: list[Event] = []
    work(importlib.import_module("ray").get(plan[0]), places, (), events.append, since)
    return events
