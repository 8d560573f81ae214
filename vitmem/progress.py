"""How far long work is: bars on a terminal, else a line in the log now and then. No torch."""

from __future__ import annotations

import itertools
import logging
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

log = logging.getLogger(__name__)
T = TypeVar("T")
# Seconds between two lines of the log, two changes of a bar, and two messages of a worker to the process with the bars.
EVERY, SHOWN, SENT = 10.0, 0.1, 0.5
_numbers = itertools.count()
_job: ContextVar[str] = ContextVar("job", default="")


@contextmanager
def named(job: str) -> Iterator[None]:
    """Put the name ``job`` before the lines that are logged inside, where ``JobFormatter`` writes them, and on bars."""
    token = _job.set(job)
    try:
        yield
    finally:
        _job.reset(token)


class JobFormatter(logging.Formatter):
    """A message as it is, behind the name of the job that logs it, if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return ``<job>: <message>``."""
        return _of_job(_job.get(), super().format(record))


def _of_job(job: str, text: str) -> str:
    return f"{job}: {text}" if job else text


def duration(seconds: float) -> str:
    """Return ``seconds`` as a person says them: about 12 min, about 2.5 h."""
    if seconds < 60:
        return "less than a minute"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < 90 else f"about {minutes / 60:.1f} h"


def now_and_then(seconds: float) -> Callable[[], bool]:
    """Return what tells whether a line is due: it last was, or this was called, ``seconds`` ago."""
    last = time.monotonic()

    def due() -> bool:
        nonlocal last
        if (now := time.monotonic()) - last < seconds:
            return False
        last = now
        return True

    return due


@dataclass(frozen=True)
class Step:
    """``done`` of ``total`` ``unit`` of the task ``key``; ``done`` is ``None`` when the task is over.

    ``left`` are the seconds that are left, ``None`` where that is not known yet.
    """

    key: str
    job: str
    what: str
    done: int | None
    total: int
    unit: str
    left: float | None = None


def _time_left(step: Step) -> str:
    return "" if step.left is None or step.done == step.total else f", {duration(step.left)} left"


class Display(Protocol):
    """Where steps are shown, each task every ``every`` seconds at most."""

    every: float

    def __call__(self, step: Step) -> None:
        """Show ``step``."""


class Log:
    """A line in the log for each step; short tasks stay silent."""

    every: float = EVERY

    def __call__(self, step: Step) -> None:
        """Log ``<what>: <done> of <total> <unit>, <time> left``."""
        if step.done:
            log.info(f"{step.what}: {step.done:,} of {step.total:,} {step.unit}{_time_left(step)}")


class Relay:
    """Sends steps from a worker to the process with the bars."""

    every: float = SENT

    def __init__(self, send: Callable[[Step], None]) -> None:
        self._send = send

    def __call__(self, step: Step) -> None:
        """Send ``step``."""
        self._send(step)


class Bars:
    """A bar for each task that is not over."""

    every: float = SHOWN

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    def __call__(self, step: Step) -> None:
        """Add, move or remove the bar of the step's task."""
        if step.done is None:
            if (bar := self._bars.pop(step.key, None)) is not None:
                self._progress.remove_task(bar)
            return
        if step.key not in self._bars:
            text = _of_job(step.job, step.what)
            self._bars[step.key] = self._progress.add_task(text, total=step.total, unit=step.unit, left="")
        self._progress.update(self._bars[step.key], completed=step.done, left=_time_left(step))


_display: ContextVar[Display] = ContextVar("display", default=Log())  # noqa: B039  it has no state


@contextmanager
def shown_by(display: Display) -> Iterator[None]:
    """Show the tasks inside on ``display``."""
    token = _display.set(display)
    try:
        yield
    finally:
        _display.reset(token)


def bars_shown() -> bool:
    """Say whether this process shows bars."""
    return isinstance(_display.get(), Bars)


def shown(step: Step) -> None:
    """Show a step that a worker has sent, where this process shows its own."""
    _display.get()(step)


@contextmanager
def bars(wanted: bool = True) -> Iterator[bool]:
    """Show the tasks inside as bars on stderr, where that is a terminal and they are ``wanted``; yields whether so."""
    if not (wanted and sys.stderr.isatty()):
        yield False
        return
    from rich.console import Console  # noqa: PLC0415  most processes show no bar
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

    counts = TextColumn("{task.completed:,.0f} of {task.total:,.0f} {task.fields[unit]}{task.fields[left]}")
    columns = (TextColumn("{task.description}", markup=False), BarColumn(20), counts)
    with (
        Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()) as shown,
        shown_by(Bars(shown)),
    ):
        yield True


class Task:
    """A piece of long work of ``total`` ``unit``, shown for as long as its block lasts."""

    def __init__(self, what: str, total: int, unit: str, done: int = 0) -> None:
        """Make a task that is begun by entering it; ``done`` is what an earlier sitting did."""
        self.what, self.total, self.unit = what, total, unit
        self._show = _display.get()
        self._due = now_and_then(self._show.every)
        self._key = f"{os.getpid()}-{next(_numbers)}"
        self._done = self._before = done
        self._started = time.monotonic()

    def advance(self, count: int = 1, left: float | None = None) -> None:
        """Add ``count`` to what is done; ``left`` are the seconds left (``None``: by the speed so far)."""
        self._done += count
        if self._due():
            passed = time.monotonic() - self._started
            each = passed / (self._done - self._before)
            self._step(self._done, each * (self.total - self._done) if left is None else left)

    def _step(self, done: int | None, left: float | None = None) -> None:
        self._show(Step(self._key, _job.get(), self.what, done, self.total, self.unit, left))

    def __enter__(self) -> Task:
        self._step(self._done)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._step(None)


def track(items: Collection[T], what: str, unit: str) -> Iterator[T]:
    """Yield ``items`` as a task: each is done when the next one is asked for."""
    with Task(what, len(items), unit) as task:
        for item in items:
            yield item
            task.advance()


def counted(batches: Iterable[Any], what: str, total: int, unit: str) -> Iterator[Any]:
    """Yield ``batches`` as a task of ``total`` examples; a batch is a tuple or a mapping of tensors (B, ...)."""
    with Task(what, total, unit) as task:
        for batch in batches:
            yield batch
            task.advance(len(next(iter(batch.values())) if isinstance(batch, Mapping) else batch[0]))
