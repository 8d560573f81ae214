"""The lead of each method over the best shrinkage, and the sizes that it is drawn against. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from vitmem.reports.aggregate import Estimate
from vitmem.reports.report import Report

from .tables import Place, contenders, places


@dataclass(frozen=True)
class Size:
    """A size of a training that leads are drawn against: a field of :class:`Place`, and its words."""

    field: str
    unit: str
    label: str

    def of(self, place: Place) -> int:
        """Return the size of one training."""
        size: int = getattr(place, self.field)
        return size

    def told(self, count: int) -> str:
        """Return a number with its unit."""
        return f"{count:,} {self.unit}{'' if count == 1 else 's'}"


IMAGES = Size("images", "image", "training images")
TOKENS = Size("tokens", "token", "tokens of an image")


@dataclass(frozen=True)
class Dot:
    """The lead of one method for one set of layers."""

    place: Place
    method: str
    lead: Estimate
    input_side: bool

    @property
    def told(self) -> bool:
        """Whether the method is the input side and rows have the metrics with its matrices at zero."""
        return self.input_side and self.place.site.ablated is not None


def dots(report: Report) -> list[Dot]:
    """Return the lead of every method for every set of layers."""
    found = []
    for place in places(report):
        for first, choice in contenders(place.site):
            if (lead := place.site.lead(choice)) is not None:
                found.append(Dot(place, report.names.method(first), lead, first.method == "kfac_input"))
    return found
