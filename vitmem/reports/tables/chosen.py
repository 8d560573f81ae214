"""Each method at its chosen setting. Does not import torch."""

from __future__ import annotations

from collections.abc import Iterator

from vitmem.registry import TABLES
from vitmem.reports.budget import TUNING_COLUMNS, tuning
from vitmem.reports.choose import choose
from vitmem.reports.columns import EDIT_COLUMNS, HEAD, MEASURED, RULE, SEEDS, SETTING, edited, measured, named, percent
from vitmem.reports.naming import setting
from vitmem.reports.render import Cell
from vitmem.reports.report import Report, oracles

COLUMNS = (*HEAD, SETTING, SEEDS, *percent(MEASURED), *EDIT_COLUMNS, *TUNING_COLUMNS)


@TABLES.register("chosen", columns=COLUMNS, notes=(RULE,))
def chosen(report: Report) -> Iterator[tuple[Cell, ...]]:
    """Each method at its chosen setting, beside the unedited model and the oracles."""
    for training, base in report.judged:
        for group in (base, *oracles(training)):
            head = (*named(report, training, group)[:2], None, None)
            yield (*head, *measured(group, MEASURED), *edited(group), None, None)
        for groups in report.methods(training):
            choice, head, tried = choose(groups, base), named(report, training, groups[0]), tuning(groups)
            best = choice.group
            if best is None:
                yield (*head, choice.why, None, *([None] * len(MEASURED + EDIT_COLUMNS)), *tried)
            else:
                yield (*head, setting(best), *measured(best, MEASURED), *edited(best), *tried)
