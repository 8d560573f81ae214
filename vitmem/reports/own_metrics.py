"""The table of what plug-ins measure: every metric of the rows that no other table or page is about. No torch."""

from __future__ import annotations

import re

from vitmem.reports.aggregate import at
from vitmem.reports.budget import INFORMATION, information_of
from vitmem.reports.content import Report, oracles
from vitmem.reports.naming import strength_text, where
from vitmem.reports.notes import INTERVAL
from vitmem.reports.render import Cell, Column, Table

# What the metrics of vitmem give; ``rows.jsonl`` has all of it, other tables what they are about.
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
# More columns than these are read from rows.jsonl.
MOST = 20
NOTE = "metrics of plug-ins, each in its own unit: mean ± half-width of the interval over the seeds; reporting halves"


def own_metrics(report: Report) -> list[str]:
    """Return the names of the metrics that are none of vitmem's, sorted."""
    return sorted(name for name in report.metrics if not BUILT_IN.fullmatch(name))


def metrics(report: Report) -> Table:
    """Return a row for every cell over its seeds that has a metric of a plug-in, a column for each metric."""
    names = own_metrics(report)
    shown, left = names[:MOST], names[MOST:]
    head = ("model", "method", "blocks", "strength")
    columns = (
        *(Column(key, key) for key in head[:2]),
        INFORMATION,
        *(Column(key, key) for key in head[2:]),
        Column("seeds", "seeds", "count"),
        *(Column(name, name, "measure") for name in shown),
    )
    rows: list[tuple[Cell, ...]] = []
    for training in report.trainings:
        base = [training.base] if training.base else []
        edits = (g for groups in (*report.methods(training), *report.probes(training)) for g in groups)
        for group in (*base, *oracles(training), *edits):
            found = [group.estimate(at("metrics", name)) for name in shown]
            if any(value is not None for value in found):
                told = (report.names.method(group), information_of(group), where(group), strength_text(group))
                rows.append((report.names.training(training), *told, len(group.rows), *found))
    rest = [f"{len(left)} more are in rows.jsonl, from {left[0]} to {left[-1]}"] if left else []
    return Table(report.about, columns, tuple(rows), (*report.notes, INTERVAL, NOTE, *rest), report.footer)
