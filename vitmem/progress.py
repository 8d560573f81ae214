"""How far long work is, now and then: short work stays silent. No torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

Say = Callable[[str], None]
# Seconds of silence at most, but for a single step that takes longer.
EVERY = 10.0


def now_and_then(say: Say, seconds: float = EVERY) -> Say:
    """Return what hands a text on to ``say`` when that was last done ``seconds`` ago, and else drops it."""
    last = time.monotonic()

    def told(text: str) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= seconds:
            last = now
            say(text)

    return told


def counted(batches: Iterable[Any], say: Say, what: str, total: int, unit: str) -> Iterator[Any]:
    """Yield ``batches`` and say ``<what>: <done> of <total> <unit>`` before each but the first.

    A batch is a tuple or a mapping of tensors (B, ...).
    """
    done = 0
    for batch in batches:
        if done:
            say(f"{what}: {done:,} of {total:,} {unit}")
        yield batch
        done += len(next(iter(batch.values())) if isinstance(batch, Mapping) else batch[0])
