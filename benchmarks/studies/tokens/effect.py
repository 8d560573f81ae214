"""One line per network: before the edit, after it, and after the best shrinkage. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vitmem.registry import TABLES
from vitmem.reports.aggregate import Estimate, Group, at
from vitmem.reports.columns import MEASURES, MODEL, NO_LOSS, SEEDS
from vitmem.reports.lead import SHRINKAGE
from vitmem.reports.naming import title_of
from vitmem.reports.render import Cell, Column
from vitmem.reports.report import Report

from .tables import BEST, Place, has_sizes, places

# Methods with their defining parameters; the lead is that of the first.
SHOWN: tuple[tuple[str, Mapping[str, Any]], ...] = (("kfac_input", {}), ("sap", {}), ("kfac", {}))
COLUMNS = (
    Column("family", "network"),
    Column("tokens", "tokens", "count"),
    Column("images", "images", "count"),
    MODEL,
    Column("layers", "edited layers"),
    SEEDS,
    Column("base", "base"),
    *(Column(method, title_of(method)) for method, _ in SHOWN),
    Column("shrinkage", BEST),
    Column("lead", f"lead of {title_of('kfac_input')}", "change"),
    Column("ablated", "edited matrices at zero"),
)
NOTES = (
    "three numbers: memorized / recovered / validation in per cent, means over the seeds on the report halves",
    f"{NO_LOSS}; 'no edit' where each loses some",
    f"{BEST}: one choice among all settings of {', '.join(map(title_of, SHRINKAGE))}, which know nothing of the data; "
    "lead: memorized under it less memorized under the method, in points, paired over the seeds",
)


@TABLES.register("effect", title="The effect in one line a network", columns=COLUMNS, notes=NOTES)
def effect(report: Report) -> Iterator[tuple[Cell, ...]]:
    """What is left at no loss, and the lead of the input side, for each training and set of layers."""
    for place in places(report) if has_sizes(report) else ():
        if (row := _row(place)) is not None:
            yield row


def _row(place: Place) -> tuple[Cell, ...] | None:
    """Return the row of one set of layers, ``None`` without an edit by the input side."""
    site = place.site
    chosen = {name: site.chosen(site.settings(name, **own)) for name, own in SHOWN if site.settings(name, **own)}
    first, _ = SHOWN[0]
    if first not in chosen:
        return None
    texts = [_triple(choice.group) if (choice := chosen.get(name)) is not None else None for name, _ in SHOWN]
    lead: Estimate | None = site.lead(chosen[first])
    head = (place.family, place.tokens, place.images, place.model, site.layers_text, len(site.base.rows))
    ablated = None if site.ablated is None else _triple(site.ablated, "ablated_")
    return (*head, _triple(site.base), *texts, _triple(site.best_shrinkage.group), lead, ablated)


def _triple(group: Group | None, prefix: str = "") -> str:
    """Return memorized, recovered and validation of ``group`` in per cent."""
    if group is None:
        return "no edit"
    found = [group.estimate(at("metrics", prefix + name)) for name in MEASURES]
    return " / ".join("–" if one is None else f"{100 * one.mean:.1f}" for one in found)
