"""How often each method is ahead of shrinkage, by the accuracy that may be lost and the size of trainings. No torch."""

from __future__ import annotations

from collections.abc import Iterator

from vitmem.registry import TABLES
from vitmem.reports.aggregate import Estimate
from vitmem.reports.choose import GATE
from vitmem.reports.columns import METHOD
from vitmem.reports.paired import t_interval
from vitmem.reports.render import Cell, Column
from vitmem.reports.report import Report
from vitmem.reports.tables.matched import DROPS

from .tables import BEST, Place, contenders, has_sizes, places

COLUMNS = (
    Column("allowed_drop", "allowed loss"),
    Column("images", "images", "count"),
    Column("tokens", "tokens", "count"),
    METHOD,
    Column("sites", "trainings and layers", "count", "sets of layers of the trainings that are counted"),
    Column("ahead", "ahead", "count", "the whole interval of the lead is above 0"),
    Column("behind", "behind", "count", "the whole interval is below 0"),
)
NOTES = (
    "for each allowed loss of selection accuracy (points), the setting with the largest fall of memorized on the "
    f"selection halves, of each method and of the {BEST}; the lead is memorized under it less memorized under the "
    "method, on the other halves and paired over the seeds; a method without a setting counts as the base, unedited",
    f"those whose base memorizes at least {100 * GATE:g} %",
)


@TABLES.register("leads", title="Ahead of shrinkage, by allowed loss", columns=COLUMNS, notes=NOTES)
def leads(report: Report) -> Iterator[tuple[Cell, ...]]:
    """How often each method is ahead of the best shrinkage and behind, by allowed loss, images and tokens."""
    sizes: dict[tuple[int, int], list[Place]] = {}
    for place in places(report) if has_sizes(report) else ():
        if place.judged:
            sizes.setdefault((place.images, place.tokens), []).append(place)
    for drop in DROPS:
        for (images, tokens), some in sorted(sizes.items()):
            for name, found in _leads(report, some, drop).items():
                ends = [interval for lead in found if (interval := t_interval(lead)) is not None]
                ahead, behind = sum(low > 0 for low, _ in ends), sum(high < 0 for _, high in ends)
                yield f"{100 * drop:g}", images, tokens, name, len(found), ahead, behind


def _leads(report: Report, found: list[Place], drop: float) -> dict[str, list[Estimate]]:
    """Return the leads of each method, by its name."""
    by_method: dict[str, list[Estimate]] = {}
    for place in found:
        for first, choice in contenders(place.site, drop):
            if (lead := place.site.lead(choice, drop)) is not None:
                by_method.setdefault(report.names.method(first), []).append(lead)
    return by_method
