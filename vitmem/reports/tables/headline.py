"""A whole suite in one table: each method by its information, with its paired distance to K-FAC. No torch."""

from __future__ import annotations

from collections.abc import Iterator

from vitmem.registry import TABLES
from vitmem.reports.aggregate import Group
from vitmem.reports.budget import TUNING_COLUMNS, tuning
from vitmem.reports.choose import choose
from vitmem.reports.columns import HEAD, MEASURES, RULE, SEEDS, SETTING, measured, named, percent
from vitmem.reports.naming import setting
from vitmem.reports.render import Cell, Column, cell_text, ends_text, fixed
from vitmem.reports.report import Report, oracles
from vitmem.reports.tables.comparison import TEST, Tested, compared

COLUMNS = (
    *HEAD,
    SETTING,
    SEEDS,
    *percent(),
    *(Column(f"{name}_minus_kfac", f"{name} - K-FAC") for name in MEASURES),
    *TUNING_COLUMNS,
)
NOTES = (
    RULE,
    "setting: the parameters that differ among the settings of the method",
    TEST,
    "method - K-FAC: the difference and the ends of its 95 % interval; * the interval excludes 0, ** the test is also "
    "significant after Holm's correction over the methods of one outcome; more in the table 'comparison'",
)


@TABLES.register("headline", title="By what a method is given, paired with K-FAC", columns=COLUMNS, notes=NOTES)
def headline(report: Report) -> Iterator[tuple[Cell, ...]]:
    """The base, each oracle and each method at its chosen setting, by their information."""
    if not any("outcomes" in row for row in report.rows) or not any(training.edits for training in report.trainings):
        return
    for training, base in report.judged:
        _, tested = compared(report, training)

        def against(group: Group, tested: dict[str, dict[str, Tested]] = tested) -> Iterator[str | None]:
            for outcome in MEASURES:
                one = tested.get(outcome, {}).get(report.names.method(group))
                yield None if one is None else _shown(one)

        for group in (base, *oracles(training)):
            yield *named(report, training, group)[:2], None, None, *measured(group), *against(group), None, None
        for groups in report.methods(training):
            choice, head = choose(groups, base), named(report, training, groups[0])
            if choice.group is None:
                yield *head, choice.why, None, *([None] * 2 * len(MEASURES)), *tuning(groups)
            else:
                shown = (setting(choice.group, groups), *measured(choice.group), *against(choice.group))
                yield *head, *shown, *tuning(groups)


def _shown(one: Tested) -> str:
    difference, ends = one.comparison.difference, one.comparison.ends
    if ends is None:
        return cell_text(difference, "change")
    return f"{fixed(100 * difference.mean, 1, sign=True)} ({ends_text(*ends)}){one.mark}"
