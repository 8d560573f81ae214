"""The information a method uses, the cost of finding its setting and the hours of a suite. Does not import torch.

Older rows without these records have no values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from vitmem.entries import Information
from vitmem.reports.aggregate import Estimate, Group, at, estimate
from vitmem.reports.render import Column, fixed
from vitmem.rows import Row

INFORMATION = Column(
    "information",
    "information",
    about="what a method uses besides the weights: data-free nothing; unlabelled training inputs; noisy labels "
    "training inputs with given labels; trusted examples with right labels; retain + forget a retain set and a forget "
    "set; proxy examples with random labels; train-time only the weights of a network whose training was prepared for "
    "the method",
)
TUNING_COLUMNS = (
    Column("settings_tried", "tried", "count", "number of settings of the method"),
    Column(
        "tuning_passes",
        "tuning passes",
        "passes",
        "passes of all settings of the method, counting shared statistics once, without the evaluation on the "
        "selection halves",
    ),
)
# From information that costs a user nothing to information that only a benchmark has.
INFORMATION_ORDER = get_args(Information)
STAGES = ("training", "statistics", "edit", "evaluate")
SPENT = {"training": "training", "statistics": "statistics", "edit": "edits", "evaluate": "evaluation"}


def passes(row: Row) -> float | None:
    """Return the passes of an edit and of its statistics, ``None`` if it took none or none were recorded."""
    parts = [at("edit", "passes")(row), at("costs", "statistics_passes")(row), at("costs", "second_passes")(row)]
    return math.fsum(p or 0.0 for p in parts) or None


def information_of(group: Group) -> str | None:
    """Return the information a method uses; ``None`` for the unedited model and when not recorded."""
    recorded = (row.get("edit", {}).get("information") for row in group.rows.values())
    return next((str(name) for name in recorded if name is not None), None)


def information_rank(group: Group) -> int:
    """Return the place of a method's information in ``INFORMATION_ORDER``; not recorded comes last."""
    given = information_of(group)
    return INFORMATION_ORDER.index(given) if given in INFORMATION_ORDER else len(INFORMATION_ORDER)


def tuning(groups: Sequence[Group]) -> tuple[int | None, Estimate | None]:
    """Return the number of settings of one method, and the passes of all of them, mean over the seeds."""
    if any(information_of(group) is None for group in groups):
        return None, None
    totals = [
        _total([g.rows[seed] for g in groups if seed in g.rows]) for seed in sorted({s for g in groups for s in g.rows})
    ]
    return len(groups), estimate(totals)


def _total(rows: Sequence[Row]) -> float:
    """Return the passes of the settings of one seed, counting each set of statistics once."""
    shared = {row["ids"]["statistics"]: row["costs"]["statistics_passes"] for row in rows if "statistics" in row["ids"]}
    shared |= {row["ids"]["second"]: row["costs"]["second_passes"] for row in rows if "second" in row["ids"]}
    return math.fsum([*shared.values(), *(at("edit", "passes")(row) or 0.0 for row in rows)])


def hours(rows: Iterable[Row]) -> dict[str, tuple[float, int]]:
    """Return the hours of each stage and how often it ran, counting each training and set of statistics once."""
    seconds: dict[str, dict[str, float]] = {stage: {} for stage in STAGES}
    for row in rows:
        ids = {stage: str(id) for stage, id in row["ids"].items()} | {"edit": row["id"], "evaluate": row["id"]}
        for stage in STAGES:
            value = at("costs", f"{stage}_seconds")(row)
            if value is not None and stage in ids:
                # statistics of layers may come from several passes, and each row counts its own
                seconds[stage][ids[stage]] = max(value, seconds[stage].get(ids[stage], 0.0))
    return {stage: (math.fsum(found.values()) / 3600, len(found)) for stage, found in seconds.items() if found}


def hours_text(spent: Mapping[str, tuple[float, int]]) -> str:
    """Return the hours of ``hours`` as a text: their sum, then those of each stage with the number of runs."""
    parts = [f"{SPENT[stage]} {fixed(own, 2)} ({count})" for stage, (own, count) in spent.items()]
    return f"{fixed(math.fsum(own for own, _ in spent.values()), 2)}: {', '.join(parts)}"
