"""The table of plug-in metrics: every metric of the rows that no built-in table or page covers. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vitmem.entries import Table
from vitmem.registry import TABLES
from vitmem.reports.columns import HEAD, SEEDS, measured, named
from vitmem.reports.naming import strength_text, where
from vitmem.reports.render import Cell, Column
from vitmem.reports.report import Report

# Names of the built-in metrics; ``rows.jsonl`` has all of them, other tables their own.
BUILT_IN = re.compile(
    r"memorized(_change(_low|_high)?)?|recovered|other|clean_train|given_train|train_(changed|loss|loss_rise)|gap|"
    r"validation(_without_\w+|_agreement_humans)?|worst_class|selectivity|agreement|(wrong_to_right|right_to_wrong)|"
    r"(memorized|validation)_class_\d+|(conditional|reference)_(memorized|recovered|other)|"
    r"ablated_(memorized|recovered|validation)|"
    r"(auroc|ap)_(loss|margin|loss_rise)|(adaptive_)?ece|nll|brier|knn_(backed|unbacked)|judged_change|"
    r"held_out_(balance|confidence)|loss_(upper_share|rise_separation)|loose|distance|prefix(_perturbed)?|"
    r"suffix_(loss|accuracy)|famous_(run|loss)|control_(recited|loss|run)|perplexity|ndcg(_overlap)?|"
    r"(control_)?drift(_signed|_changed)?|(accuracy|retention)_\w+"
)
# Maximum number of columns; further ones are only in rows.jsonl.
MOST = 20


def own_metrics(report: Report) -> list[str]:
    """Return the names of the plug-in metrics, sorted."""
    return sorted(name for name in report.metrics if not BUILT_IN.fullmatch(name))


@TABLES.register("metrics")
class Metrics(Table):
    """Every setting that has a metric of a plug-in, a column for each metric."""

    title = "Metrics of plug-ins"
    notes = ("metrics of plug-ins, each in its own unit, on the reporting halves",)

    def columns_of(self, report: Report) -> tuple[Column, ...]:
        """Return a column for each metric, up to a readable number."""
        names = own_metrics(report)[:MOST]
        settings = (Column("blocks", "blocks"), Column("strength", "strength"))
        return (*HEAD, *settings, SEEDS, *(Column(name, name, "measure") for name in names))

    def rows(self, report: Report) -> Iterator[tuple[Cell, ...]]:
        """Yield a row for every setting over its seeds that has any of the metrics."""
        names = own_metrics(report)[:MOST]
        for training in report.trainings if names else ():
            for group in report.cells(training):
                seeds, *values = measured(group, names)
                if any(value is not None for value in values):
                    yield *named(report, training, group), where(group), strength_text(group), seeds, *values

    def remarks(self, report: Report, rows: Sequence[tuple[Cell, ...]]) -> Iterator[str]:
        """Yield a sentence on the metrics left out."""
        if left := own_metrics(report)[MOST:]:
            yield f"{len(left)} more are in rows.jsonl, from {left[0]} to {left[-1]}"
