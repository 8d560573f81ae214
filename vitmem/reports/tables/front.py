"""The Pareto front of a method's settings in three measures, and its hypervolume. Does not import torch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vitmem.registry import TABLES
from vitmem.reports.aggregate import Estimate, Group, at
from vitmem.reports.columns import HEAD, MEASURES, named
from vitmem.reports.render import Cell, Column
from vitmem.reports.report import Report

# Accuracy below the unedited model's at which a setting counts as worthless.
WORTHLESS = 0.05
COLUMNS = (
    *HEAD,
    Column("settings", "settings", "count"),
    Column("on_front", "on the front", "count"),
    Column("volume", "volume", "number"),
)
NOTES = (
    "on the front: settings that no other setting of any method dominates in memorized (lower is better), recovered "
    "and validation (higher is better), means over the seeds on the report halves",
    "volume: hypervolume dominated by the method's settings, along the removed share of memorized, the gained share of "
    "the missing recovered, and validation from 0 (5 points below the base) to 1 (the base), which may exceed 1",
    "a front uses all settings without a choice, so more settings give a better front",
)


@TABLES.register(
    "front", title="Settings on the front, and the volume that they dominate", columns=COLUMNS, notes=NOTES
)
def front(report: Report) -> Iterator[tuple[Cell, ...]]:
    """The number of undominated settings of each method, and the volume that they dominate."""
    some = any(_point(g, base) is not None for training, base in report.judged for g in training.edits)
    for training, base in report.judged if some else ():
        methods = report.methods(training)
        points = [[p for g in groups if (p := _point(g, base)) is not None] for groups in methods]
        best = undominated(np.array([p for some in points for p in some]).reshape(-1, 3))
        start = 0
        for groups, own in zip(methods, points, strict=True):
            volume = Estimate(hypervolume(np.array(own).reshape(-1, 3)), None, len(own))
            on_front = int(best[start : start + len(own)].sum())
            yield (*named(report, training, groups[0]), len(own), on_front, volume)
            start += len(own)


def _point(group: Group, base: Group) -> tuple[float, float, float] | None:
    """Return the three gains over the base, each 0 if worthless."""
    after, before = ([g.estimate(at("metrics", name)) for name in MEASURES] for g in (group, base))
    if any(e is None for e in (*after, *before)):
        return None
    (m, r, v), (m0, r0, v0) = ([e.mean for e in some if e is not None] for some in (after, before))
    if m0 == 0 or r0 == 1:
        return None
    return 1 - m / m0, (r - r0) / (1 - r0), (v - v0 + WORTHLESS) / WORTHLESS


def undominated(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return the mask (n,) of ``points`` (n, d) that no other point dominates."""
    above = (points[:, None] >= points[None]).all(2) & (points[:, None] > points[None]).any(2)  # (n, n)
    return np.logical_not(above.any(0))


def hypervolume(points: NDArray[np.float64]) -> float:
    """Return the volume of the union of the boxes from the origin to ``points`` (n, 3), those with all > 0.

    Sliced along the last axis (Zitzler and Thiele 1999 give the measure).
    """
    points = points[(points > 0).all(1)]
    total, heights = 0.0, np.unique(points[:, 2])
    for low, high in zip(np.concatenate([[0.0], heights[:-1]]), heights, strict=True) if len(points) else ():
        total += (high - low) * _area(points[points[:, 2] >= high][:, :2])
    return float(total)


def _area(points: NDArray[np.float64]) -> float:
    """Return the area of the union of the rectangles from the origin to ``points`` (n, 2)."""
    area, reached = 0.0, 0.0
    for x, y in sorted(map(tuple, points), reverse=True):
        if y > reached:
            area += x * (y - reached)
            reached = y
    return area
