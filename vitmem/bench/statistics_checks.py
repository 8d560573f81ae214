"""What statistics may be asked of which data, told in one sentence. No torch."""

from __future__ import annotations

from vitmem.bench.cells import ChosenData
from vitmem.errors import InputError
from vitmem.registry import DATA
from vitmem.specs import Statistics

OF_IMAGES = ("held_out", "crop", "flip", "source", "classes", "without")
# Each says which images are read; two of them would say it twice.
WHICH = ("held_out", "source", "classes", "without")


def check_statistics(data: ChosenData, statistics: Statistics, where: str) -> None:
    """Raise InputError for statistics that the data cannot give, or that would read true labels."""
    protocol = data.entry.protocol
    for key in OF_IMAGES:
        if getattr(statistics, key) is not None and protocol != "image":
            raise InputError(f"{where}: statistics: '{key}' is for images, data '{data.name}' has none; leave it out")
    asked = [key for key in WHICH if getattr(statistics, key) is not None]
    if len(asked) > 1:
        raise InputError(
            f"{where}: statistics: '{asked[0]}' and '{asked[1]}' both say which images are read; give one of them"
        )
    _check_labels(statistics, where)
    source = statistics.source
    if source is not None and DATA.get(source["name"]).protocol != "image":
        raise InputError(f"{where}: statistics: 'source': data '{source['name']}' has no images; name data of images")
    if statistics.distinct and protocol != "text":
        raise InputError(
            f"{where}: statistics: 'distinct' leaves out rows of text that were trained on before, and data "
            f"'{data.name}' has none; leave it out"
        )


def _check_labels(statistics: Statistics, where: str) -> None:
    """Raise InputError for labels that no edit sees, and for a temperature where no probability is read."""
    for key in ("held_out", "source"):
        if getattr(statistics, key) and statistics.labels == "given":
            raise InputError(
                f"{where}: statistics: '{key}' images have true labels, which no edit sees, and labels 'given' reads "
                "them; take 'sampled', 'exact' or 'logit_jacobian'"
            )
    if statistics.temperature is not None and statistics.labels == "logit_jacobian":
        raise InputError(
            f"{where}: statistics: a 'temperature' changes nothing with labels 'logit_jacobian', which read no "
            "probabilities; leave it out"
        )
