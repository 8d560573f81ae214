"""Trial run of plug-in metrics on synthetic predictions, so that a failure shows before hours of training."""

from __future__ import annotations

from vitmem.errors import InputError, VitmemError
from vitmem.metrics.measure import measure
from vitmem.metrics.versions import metrics_of
from vitmem.registry import PROTOCOLS


def try_metrics(protocol: str) -> None:
    """Measure synthetic predictions by every metric of ``protocol`` if a plug-in registers one of them.

    Raises InputError naming the metric that fails, returns a non-finite value or uses a taken name.
    """
    if all(entry.built_in() for entry in metrics_of(protocol)):
        return
    make = PROTOCOLS.get(protocol).made_up
    if make is None:
        return
    try:
        measure(make(0), make(1))
    except VitmemError as error:
        raise InputError(f"{error} (found on made-up predictions, before anything is trained)") from error
