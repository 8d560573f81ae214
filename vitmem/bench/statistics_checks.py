"""Consistency checks of statistics and data, with one-sentence errors. No torch."""

from __future__ import annotations

from vitmem.bench.cells import ChosenData
from vitmem.errors import InputError
from vitmem.registry import DATA
from vitmem.specs import Statistics

OF_IMAGES = ("held_out", "crop", "flip", "source", "classes", "without")
# Mutually exclusive choices of the images.
WHICH = ("held_out", "source", "classes", "without")


def check_statistics(data: ChosenData, statistics: Statistics, where: str) -> None:
    """Raise InputError for statistics that do not fit the data or that would use true labels."""
    protocol = data.entry.protocol
    for key in OF_IMAGES:
        if getattr(statistics, key) is not None and protocol != "image":
            raise InputError(f"{where}: statistics: '{key}' is for images, data '{data.name}' has none; leave it out")
    asked = [key for key in WHICH if getattr(statistics, key) is not None]
    if len(asked) > 1:
        raise InputError(f"{where}: statistics: '{asked[0]}' and '{asked[1]}' both choose the images; give one of them")
    _check_labels(statistics, where)
    source = statistics.source
    if source is not None and DATA.get(source["name"]).protocol != "image":
        raise InputError(f"{where}: statistics: 'source': data '{source['name']}' has no images; name data of images")
    if statistics.distinct and protocol != "text":
        raise InputError(
            f"{where}: statistics: 'distinct' omits repeated training rows of text, but data '{data.name}' has no "
            "text; leave it out"
        )


def _check_labels(statistics: Statistics, where: str) -> None:
    """Raise InputError for labels hidden from edits and for a temperature without probabilities."""
    for key in ("held_out", "source"):
        if getattr(statistics, key) and statistics.labels == "given":
            raise InputError(
                f"{where}: statistics: labels 'given' would read the true labels of '{key}' images, which are hidden "
                "from edits; use 'sampled', 'exact' or 'logit_jacobian'"
            )
    if statistics.temperature is not None and statistics.labels == "logit_jacobian":
        raise InputError(
            f"{where}: statistics: 'temperature' has no effect with labels 'logit_jacobian', which use no "
            "probabilities; leave it out"
        )
