"""All suites beside each other: the base, the best edit without labels and the best shrinkage. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from vitmem.entries import Table
from vitmem.registry import TABLES
from vitmem.reports.aggregate import Group, Training
from vitmem.reports.choose import DROP
from vitmem.reports.columns import MEASURES, NO_LOSS, RULE
from vitmem.reports.lead import shrinks
from vitmem.reports.overview import FEW, SHARED, Line, lines
from vitmem.reports.render import Cell, Column
from vitmem.reports.report import Report
from vitmem.reports.tables.verdict import SHRINKING, Verdict, best_setting, is_edit, verdicts

SIDE = "K-FAC, input side: keeps whole input directions; K-FAC side=A: pairs of directions in the same order"
COLUMNS = (
    Column("suite", "suite", page=True),
    Column("network", "data and network"),
    Column("base", "base"),
    Column("edit", "best edit"),
    Column("shrinkage", "best shrinkage"),
    Column("lead", "lead"),
    Column("seeds", "seeds, hours"),
)
NOTES = (
    "best edit: of the edits that read no labels, the setting with the largest fall of memorized on the selection "
    "halves; controls are not among them, nor is a basis with one side at random",
    SIDE,
    f"best shrinkage: the same choice among the settings of data-free methods, memorized alone; {SHRINKING}",
    "lead: memorized under the best shrinkage minus memorized under the best edit, in points, with its 95 % interval "
    "over the seeds, of one seed over the items; ahead, behind: the interval excludes 0",
    f"suites of more than {FEW} networks: ranges over the networks with something to remove, in brackets the number "
    "of networks that a method is the best of, and the number of networks of each verdict",
    "without their best setting: with the next best setting of all edits and the same shrinkage, which the table "
    "'grids' of a suite names; a network that several suites share counts once, and stays ahead if it does in each",
    "order of the suites: by the mean lead",
    SHARED,
)
THREE = "three numbers: memorized / recovered / validation in per cent, means over the seeds on the report halves"
THREE_OF_TEXT = "three numbers of text: memorized / validation (the next token is right) in per cent / perplexity"
TEXT_MEASURES = ("memorized", "validation", "perplexity")


def ordered(found: Sequence[Line]) -> list[Line]:
    """Return the lines, suites with the largest mean lead first, those without one last."""
    leads: dict[str, list[float]] = {}
    for line in found:
        leads.setdefault(line.suite, []).extend(line.leads)
    means = {suite: math.fsum(own) / len(own) if own else -math.inf for suite, own in leads.items()}
    return sorted(found, key=lambda line: (-means[line.suite], line.suite))


class _Suites(Table):
    """A table over suites; subclasses say which suites, and what is chosen."""

    over_suites = True
    columns = COLUMNS

    def about(self, report: Sequence[Line]) -> str:
        """Return the sentence above the table."""
        return f"{self.title}."

    def rows(self, report: Sequence[Line]) -> Iterator[tuple[Cell, ...]]:
        """Yield the lines in their order."""
        yield from (line.cells for line in ordered(report))

    def remarks(self, report: Sequence[Line], rows: Sequence[tuple[Cell, ...]]) -> Iterator[str]:
        """Yield the number of leads that hang on no setting, and each device with its versions and suites."""
        stands: dict[str, bool] = {}
        for line in report:
            for training, ahead in line.stands.items():
                stands[training] = ahead and stands.get(training, True)
        if stands:
            kept = sum(stands.values())
            yield f"{kept} of {len(stands)} networks that are ahead stay ahead without their best setting"
        suites: dict[str, set[str]] = {}
        for line in report:
            for made_by in line.made_by:
                suites.setdefault(made_by, set()).add(line.suite)
        ordered = sorted(suites, key=lambda made_by: (-len(suites[made_by]), made_by))
        for place, made_by in enumerate(ordered):
            names = ", ".join(sorted(suites[made_by]))
            yield f"{made_by}: {names if place or len(ordered) == 1 else 'the other suites'}"


@TABLES.register("suites")
class Suites(_Suites):
    """Every suite of images: the base, the best edit without labels and the best shrinkage at no loss."""

    title = "Suites of images: memorized / recovered / validation at no loss of accuracy"
    notes = (THREE, NO_LOSS, *NOTES)

    def observe(self, report: Report) -> list[Line]:
        """Return the lines of one suite."""
        return [] if "perplexity" in report.metrics else lines(report, verdicts(report), MEASURES)


@TABLES.register("text_suites")
class TextSuites(_Suites):
    """Every suite of text: the base, the best edit without labels and the best shrinkage."""

    title = "Suites of text: memorized / validation / perplexity at a loss of at most two points of accuracy"
    notes = (THREE_OF_TEXT, RULE, *NOTES)

    def observe(self, report: Report) -> list[Line]:
        """Return the lines of one suite."""
        if "perplexity" not in report.metrics:
            return []
        return lines(report, [_chosen(report, *judged) for judged in report.judged], TEXT_MEASURES)


def _chosen(report: Report, training: Training, base: Group) -> Verdict:
    edits, shrinking = ([g for g in report.methods(training) if kind(g[0])] for kind in (is_edit, shrinks))
    return Verdict(training, best_setting(edits, base, DROP), best_setting(shrinking, base, DROP), "", DROP)
