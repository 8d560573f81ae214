"""How far long work is, in the log, now and then: short work stays silent. No torch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

log = logging.getLogger(__name__)
# Seconds of silence at most, but for a single step that takes longer.
EVERY = 10.0
_job: ContextVar[str] = ContextVar("job", default="")


@contextmanager
def named(job: str) -> Iterator[None]:
    """Put the name ``job`` before the lines that are logged inside, where ``JobFormatter`` writes them."""
    token = _job.set(job)
    try:
        yield
    finally:
        _job.reset(token)


class JobFormatter(logging.Formatter):
    """A message as it is, behind the name of the job that logs it, if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return ``<job>: <message>``."""
        text = super().format(record)
        return f"{job}: {text}" if (job := _job.get()) else text


def now_and_then(seconds: float = EVERY) -> Callable[[], bool]:
    """Return what tells whether a line is due: it last was, or this was called, ``seconds`` ago."""
    last = time.monotonic()

    def due() -> bool:
        nonlocal last
        if (now := time.monotonic()) - last < seconds:
            return False
        last = now
        return True

    return due


def counted(batches: Iterable[Any], due: Callable[[], bool], what: str, total: int, unit: str) -> Iterator[Any]:
    """Yield ``batches`` and log ``<what>: <done> of <total> <unit>`` before each but the first, when that is ``due()``.

    A batch is a tuple or a mapping of tensors (B, ...).
    """
    done = 0
    for batch in batches:
        if done and due():
            log.info(f"{what}: {done:,} of {total:,} {unit}")
        yield batch
        done += len(next(iter(batch.values())) if isinstance(batch, Mapping) else batch[0])
