"""All registered metrics of one model, on the measured half of the items."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Protocol

from vitmem.entries import Metric
from vitmem.errors import InputError, VitmemError, raised_at, reason
from vitmem.metrics.versions import metrics_of
from vitmem.registry import PROTOCOLS

if TYPE_CHECKING:
    from torch import Tensor


class AnyPredictions(Protocol):
    """Predictions of a model on one half of the items. ``protocol`` names the metrics that read it."""

    protocol: ClassVar[str]

    def outcomes(self) -> dict[str, Tensor]:
        """Return the binary outcomes of the measured items by metric, (n,) bool; a share is their mean."""
        ...


def measure(predictions: AnyPredictions, base: AnyPredictions) -> dict[str, float]:
    """Return every metric of one kind of data by name, fractions in [0, 1]; undefined ones are left out.

    ``base`` are the predictions of the unedited model of the same training. Raises VitmemError when two metrics return
    the same name or a value is not finite.
    """
    values: dict[str, float] = {}
    for entry in metrics_of(predictions.protocol):
        for name, value in _values(entry, predictions, base).items():
            if name in values:
                raise VitmemError(f"metric '{entry.name}' gives '{name}', which another metric gives too")
            values[name] = value
    return values


def _values(entry: type[Metric], predictions: AnyPredictions, base: AnyPredictions) -> dict[str, float]:
    """Return the values of one metric; raises VitmemError with its name, and the line where a plug-in fails."""
    try:
        computed = entry().compute(predictions, base)
        values = {str(name): float(value) for name, value in computed.items()}
    except Exception as error:
        at = raised_at(error)
        raise VitmemError(f"metric '{entry.name}' failed: {reason(error)}{at and f' ({at})'}") from error
    for name, value in values.items():
        if not math.isfinite(value):
            raise VitmemError(f"metric '{entry.name}': '{name}' is {value}; leave out undefined values")
    return values


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
