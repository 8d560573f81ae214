"""Metrics of plug-ins on a few made-up predictions: what fails there would fail behind hours of training."""

from __future__ import annotations

from vitmem.errors import InputError, VitmemError
from vitmem.metrics.measure import measure
from vitmem.metrics.versions import metrics_of
from vitmem.registry import PROTOCOLS


def try_metrics(protocol: str) -> None:
    """Measure made-up predictions by every metric of ``protocol`` if a plug-in brings one of them.

    Raises InputError that names the metric which fails, gives what is no finite number or a name that is taken.
    """
    if all(entry.built_in() for entry in metrics_of(protocol)):
        return
    made = PROTOCOLS.get(protocol).made_up
    if made is None:
        return
    try:
        measure(made(0), made(1))
    except VitmemError as error:
        raise InputError(f"{error} (found on made-up predictions, before anything is trained)") from error
