"""What a method was given and what it cost to find its setting. No torch.

Rows that were made before it was recorded say nothing of it, and nothing is guessed for them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from vitmem.reports.aggregate import Estimate, Group, at, estimate
from vitmem.reports.render import Column
from vitmem.rows import Row

INFORMATION = Column(
    "information",
    "information",
    about="what a method is given beside the weights: data-free nothing, unlabelled training inputs, noisy labels "
    "their given labels too, trusted examples whose labels are right, retain + forget which examples to keep and "
    "which to forget, proxy examples with labels drawn at random, train-time nothing but the weights of a network "
    "whose training was prepared for the method",
)
TUNING_COLUMNS = (
    Column("settings_tried", "tried", "count", "settings of the method"),
    Column(
        "tuning_passes",
        "tuning passes",
        "passes",
        "passes of all settings of the method, statistics that settings share counted once; measuring a setting on the "
        "selection halves is not counted",
    ),
)


def passes(row: Row) -> float | None:
    """Return the passes of an edit and of its statistics, ``None`` where it took none or none were recorded."""
    found = [at("edit", "passes")(row), at("costs", "statistics_passes")(row), at("costs", "second_passes")(row)]
    return math.fsum(p or 0.0 for p in found) or None


def information_of(group: Group) -> str | None:
    """Return what the method was given; ``None`` for the unedited model and where it was not recorded."""
    found = (row.get("edit", {}).get("information") for row in group.rows.values())
    return next((str(name) for name in found if name is not None), None)


def tuning(groups: Sequence[Group]) -> tuple[int | None, Estimate | None]:
    """Return how many settings of one method there are, and the passes of all of them, mean over the seeds."""
    if any(information_of(group) is None for group in groups):
        return None, None
    totals = [
        _total([g.rows[seed] for g in groups if seed in g.rows]) for seed in sorted({s for g in groups for s in g.rows})
    ]
    return len(groups), estimate(totals)


def _total(rows: Sequence[Row]) -> float:
    """Return the passes of the settings of one seed, each set of statistics counted once."""
    shared = {row["ids"]["statistics"]: row["costs"]["statistics_passes"] for row in rows if "statistics" in row["ids"]}
    shared |= {row["ids"]["second"]: row["costs"]["second_passes"] for row in rows if "second" in row["ids"]}
    return math.fsum([*shared.values(), *(at("edit", "passes")(row) or 0.0 for row in rows)])
