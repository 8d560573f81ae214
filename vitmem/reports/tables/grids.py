"""Whether the chosen setting lies inside the grid of tried values, or at an end of it. Does not import torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from vitmem.entries import Table
from vitmem.registry import TABLES
from vitmem.reports.aggregate import Group, Training, canonical_text
from vitmem.reports.choose import choose
from vitmem.reports.columns import CHANGE_OF_WEIGHTS, HEAD, named
from vitmem.reports.lead import Layers, layers_of, layers_text
from vitmem.reports.naming import setting, strength, where
from vitmem.reports.render import Cell, Column
from vitmem.reports.report import Report
from vitmem.reports.tables.verdict import verdicts, without_the_best

# Allowed losses of selection accuracy, by column suffix and in words.
LOSSES = {"no_loss": (0.0, "no loss"), "two_points": (0.02, "2 points")}
STRONG, WEAK, END = "at the strong end", "at the weak end", "at an end"
ONE, NONE, INSIDE = "one value only", "none qualifies", "inside"
# Verdicts that need another grid come first.
ORDER = (STRONG, WEAK, END, ONE, NONE, INSIDE)
COLUMNS = (
    *HEAD,
    Column("layers", "edited layers", about="those that the edits name"),
    *(
        Column(f"{what}_{end}", f"{title} ({words})")
        for end, (_, words) in LOSSES.items()
        for what, title in (("setting", "setting"), ("grid", "grid"), ("verdict", "verdict"))
    ),
)
VERDICTS = [n for n, column in enumerate(COLUMNS) if column.key.startswith("verdict")]
NOTES = (
    "for each training, method with two strengths or more, and set of layers that the edits name: the setting with the "
    "largest fall of memorized on the selection halves at no loss of selection accuracy, and at a loss of at most 2 "
    "points",
    "grid: the smallest and the largest tried value of a numeric parameter at the chosen blocks, with the other "
    "parameters as chosen, and the number of values; the stronger end changes the edited weights more (‖ΔW‖/‖W‖, mean "
    "over the seeds)",
    f"verdict: '{STRONG}': the strongest value was chosen, so a stronger one may be better; '{WEAK}': the weakest "
    f"value was chosen; '{END}': both ends change the weights equally; with several parameters the first of these; "
    f"'{ONE}': one value at the chosen blocks; '{NONE}': every setting loses more, a weaker one may qualify",
    "sentences: where the best edit without labels is ahead of the best shrinkage at no loss, the best of all its "
    "other settings beside the same shrinkage: a lead that hangs on a single setting may be luck. The next best "
    "setting may be a near twin of the best",
)


@TABLES.register("grids")
class Grids(Table):
    """The chosen setting and its grid for each method and set of layers of each training, those not inside first."""

    title = "Whether what was chosen lies inside its grid"
    columns = COLUMNS
    notes = NOTES

    def rows(self, report: Report) -> list[tuple[Cell, ...]]:
        """Return a row for each training, method with two strengths or more, and set of layers."""
        rows = [_row(report, training, base, g) for training, base in report.judged for g in _swept(report, training)]
        return sorted(rows, key=lambda row: sorted(ORDER.index(str(row[n])) for n in VERDICTS))

    def remarks(self, report: Report, rows: Sequence[tuple[Cell, ...]]) -> Iterator[str]:
        """Yield the number inside their grid, for each allowed loss, and each lead without its best setting."""
        for n, (_, words) in zip(VERDICTS, LOSSES.values(), strict=True):
            yield _count([str(row[n]) for row in rows], words)
        for verdict in verdicts(report):
            if (next_best := without_the_best(report, verdict)) is not None:
                yield next_best.sentence


def _count(verdicts: Sequence[str], words: str) -> str:
    """Return the number inside, and the counts of other verdicts."""
    counts = Counter(verdicts)
    others = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ORDER[:-1] if counts[verdict])
    inside = f"at {words} {counts[INSIDE]} of {len(verdicts)} choices are inside their grid"
    return f"{inside}; {others}" if others else inside


def _swept(report: Report, training: Training) -> Iterator[list[Group]]:
    """Yield the settings of each method on each set of layers that were tried at several strengths."""
    for method in report.methods(training):
        by_layers: dict[Layers, list[Group]] = {}
        for group in method:
            by_layers.setdefault(layers_of(group), []).append(group)
        for groups in by_layers.values():
            if len({canonical_text(strength(group)) for group in groups}) > 1:
                yield groups


def _row(report: Report, training: Training, base: Group, groups: list[Group]) -> tuple[Cell, ...]:
    cells: list[Cell] = []
    for drop, _ in LOSSES.values():
        chosen = choose(groups, base, drop).group
        cells += (None, None, NONE) if chosen is None else (setting(chosen), *judged(chosen, groups))
    return *named(report, training, groups[0]), layers_text(layers_of(groups[0])), *cells


def judged(chosen: Group, groups: Sequence[Group]) -> tuple[str | None, str]:
    """Return the grid of ``chosen`` among the settings ``groups`` of its method as a text, and the verdict.

    A grid contains the settings that differ from ``chosen`` in a single numeric parameter.
    """
    own = strength(chosen)
    texts, verdicts = [], []
    for key in own:
        grid = {strength(g)[key]: g for g in groups if _beside(g, chosen, key)}
        if len(grid) > 1:
            text, verdict = _along(key, own[key], grid)
            texts.append(text)
            verdicts.append(verdict)
    return ("; ".join(texts), min(verdicts, key=ORDER.index)) if texts else (None, ONE)


def _beside(group: Group, chosen: Group, key: str) -> bool:
    """Return whether ``group`` is edited at the same place as ``chosen``, with the same parameters except ``key``."""
    one, other = strength(group), strength(chosen)
    return where(group) == where(chosen) and one.keys() == other.keys() and {**one, key: other[key]} == other


def _along(key: str, value: Any, grid: dict[Any, Group]) -> tuple[str, str]:
    """Return one grid, settings by value, as a text, and the position of ``value`` in it."""
    low, high = min(grid), max(grid)
    changes = [grid[end].estimate(CHANGE_OF_WEIGHTS) for end in (low, high)]
    at_low, at_high = (None if change is None else change.mean for change in changes)
    stronger = None
    if at_low is not None and at_high is not None and at_low != at_high:
        stronger = low if at_low > at_high else high
    stronger_end = "" if stronger is None else f", {'smaller' if stronger == low else 'larger'} is stronger"
    text = f"{key} {low:g} ... {high:g} ({len(grid)} values{stronger_end})"
    if value not in (low, high):
        return text, INSIDE
    return text, END if stronger is None else STRONG if value == stronger else WEAK
