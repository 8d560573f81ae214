"""Methods at the same loss of accuracy. Does not import torch."""

from __future__ import annotations

from collections.abc import Iterator

from vitmem.registry import TABLES
from vitmem.reports.aggregate import at, difference
from vitmem.reports.budget import INFORMATION, information_of
from vitmem.reports.choose import choose
from vitmem.reports.columns import MEASURES, METHOD, MODEL, SEEDS, SETTING, measured, percent
from vitmem.reports.naming import setting, title_of
from vitmem.reports.render import Cell, Column
from vitmem.reports.report import Report

DROPS = (0.0, 0.01, 0.02)
AGAINST = ("validation", "memorized", "recovered")
COLUMNS = (
    MODEL,
    Column("allowed_drop", "allowed loss"),
    METHOD,
    INFORMATION,
    SETTING,
    SEEDS,
    *percent(),
    Column("validation_minus_base", "validation - base", "change"),
    *(Column(f"{name}_minus_kfac", f"{name} - K-FAC", "change") for name in AGAINST),
)
NOTE = (
    "for each allowed loss of selection accuracy (points), the setting with the largest fall of memorized on the "
    "selection halves, reported on the other halves; differences are paired over the same seeds, and validation - "
    "K-FAC shows how well the methods are matched"
)


@TABLES.register("matched", title="At the same loss of accuracy", columns=COLUMNS, notes=(NOTE,))
def matched(report: Report) -> Iterator[tuple[Cell, ...]]:
    """Each method at the largest fall of memorized within each allowed loss of accuracy."""
    kfac_name = title_of("kfac")
    for training, base in report.judged:
        for drop in DROPS:
            choices = [(groups[0], choose(groups, base, drop)) for groups in report.methods(training)]
            kfac = next((choice.group for g, choice in choices if report.names.method(g) == kfac_name), None)
            for first, choice in choices:
                cells = (f"{100 * drop:g}", report.names.method(first), information_of(first))
                head, group = (report.names.training(training), *cells), choice.group
                if group is None:
                    yield (*head, choice.why, *([None] * (len(COLUMNS) - len(head) - 1)))
                    continue
                other = None if group is kfac else kfac
                reads = [at("metrics", name) for name in AGAINST]
                against = [None if other is None else difference(group, other, read) for read in reads]
                lost = difference(group, base, at("metrics", "validation"))
                yield (*head, setting(group), *measured(group, MEASURES), lost, *against)
