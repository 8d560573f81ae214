"""Helpers of the benchmarks: CPU seconds of one thread, ratios robust to a busy machine, a second attempt."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping

import torch

Run = Callable[[], object]
# Name -> (ratio, its limit)
Claims = Mapping[str, tuple[float, float]]


def options(about: str | None) -> argparse.ArgumentParser:
    """Return a parser with the common option of all benchmarks."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes and wide limits: whether it still runs")
    return parser


def least_seconds(contenders: Mapping[str, Run], repeats: int) -> dict[str, float]:
    """Return the minimum CPU seconds of each of ``contenders``, run in turn ``repeats`` times after one warm-up.

    Uses one thread. Other programs only add to the time, so the minimum is the least affected.
    """
    torch.set_num_threads(1)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(repeats + 1):
        for name, run in contenders.items():
            started = time.process_time()
            run()
            if repeat:
                times[name].append(time.process_time() - started)
    return {name: min(found) for name, found in times.items()}


def assert_claims(measure: Callable[[], Claims]) -> None:
    """Print and assert the ratios of ``measure()``; repeat the measurement once if one is above its limit."""
    claims = _told(measure)
    if any(value > limit for value, limit in claims.values()):
        print("above the limit, measured once more:")
        claims = _told(measure)
    for what, (value, limit) in claims.items():
        assert value <= limit, f"{what}: {value:.3f} is above {limit}"


def _told(measure: Callable[[], Claims]) -> Claims:
    claims = measure()
    for what, (value, limit) in claims.items():
        print(f"{what}: {value:.3f} (limit {limit})")
    return claims
