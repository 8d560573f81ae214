"""Additional tables of language suites: recitation by allowed loss, and skills. Does not import torch."""

from __future__ import annotations

from collections.abc import Iterator

from vitmem.entries import Table
from vitmem.registry import TABLES
from vitmem.reports.aggregate import Group, Training, at
from vitmem.reports.budget import INFORMATION, information_of
from vitmem.reports.choose import choose
from vitmem.reports.columns import HEAD, METHOD, MODEL, RULE, SEEDS, SETTING, measured
from vitmem.reports.naming import setting
from vitmem.reports.render import Cell, Column, fixed
from vitmem.reports.report import Report

RETAINED = "retained: accuracy over that of the base; frequent, middle and rare are thirds of the facts by exposure"
MATCHED = (
    "allowed rise: upper bound of matched edits on the rise of the held-out loss on the selection half, in nats per "
    "token; among the blocks of a method, those with the largest fall of memorized on the selection half"
)
WORDS = "losses: nats per token; runs and prefixes: tokens"
PAIRED = (
    "change: memorized after minus before the edit, on the same items; the 95 % interval is a paired bootstrap over "
    "the items (2,000 resamples)"
)
# Measures of recitation and its cost, in the order of the table; a suite's table has those that it measured.
MEASURES = (
    Column("memorized", "memorized", "percent"),
    Column("memorized_change", "change", "change"),
    Column("loose", "loosely", "percent"),
    Column("distance", "distance", "number"),
    Column("prefix", "prefix", "number"),
    Column("prefix_perturbed", "perturbed prefix", "number"),
    Column("suffix_loss", "suffix loss", "number"),
    Column("famous_run", "longest run", "number"),
    Column("famous_loss", "famous loss", "number"),
    Column("control_recited", "control recited", "percent"),
    Column("control_loss", "control loss", "number"),
    Column("validation", "validation", "percent"),
    Column("perplexity", "perplexity", "number"),
    Column("ndcg", "nDCG@10", "number"),
    Column("drift", "drift", "number"),
)


COLUMNS = (
    MODEL,
    Column("match_loss", "allowed rise"),
    METHOD,
    INFORMATION,
    SETTING,
    SEEDS,
    *MEASURES,
    Column("memorized_change_ends", "95 % of change"),
)


@TABLES.register(
    "recitation",
    title="What is recited, and at what cost",
    columns=COLUMNS,
    notes=(RULE, MATCHED, PAIRED, WORDS),
)
def recitation(report: Report) -> Iterator[tuple[Cell, ...]]:
    """Recitation of the base and of each method, by the loss that it was matched to, and its cost.

    Methods are side by side at every allowed rise of the loss; unmatched settings come first, chosen by the rule of the
    other tables.
    """
    # several seeds have an interval beside every mean; a single seed has the one over the items
    single = all(len(g.rows) == 1 for t in report.trainings for g in t.edits)
    for training, base in report.judged if "perplexity" in report.metrics else ():
        for level, method, group in (("", "base", base), *_by_level(report, training, base)):
            head = (report.names.training(training), level, method, information_of(group), setting(group) or None)
            cells = measured(group, (column.key for column in MEASURES))
            yield (*head, *cells, _ends(group) if single else None)


def _ends(group: Group) -> str | None:
    """Return the ends of the interval of a single seed's change in points, as a text."""
    low, high = (group.estimate(at("metrics", f"memorized_change_{end}")) for end in ("low", "high"))
    if low is None or high is None:
        return None
    return f"{fixed(100 * low.mean, 1, sign=True)} to {fixed(100 * high.mean, 1, sign=True)}"


def _by_level(report: Report, training: Training, base: Group) -> Iterator[tuple[str, str, Group]]:
    """Yield the allowed rise as a text, the method's name and its chosen settings, by rise, then by method."""
    methods = report.methods(training)
    for level in sorted({_level(group) for groups in methods for group in groups}):
        for groups in methods:
            matched = [group for group in groups if _level(group) == level]
            chosen = choose(matched, base, *([1.0] if level >= 0 else [])) if matched else None
            if chosen is not None and chosen.group is not None:
                yield f"{level:g}" if level >= 0 else "", report.names.method(groups[0]), chosen.group


def _level(group: Group) -> float:
    """Return the rise of the loss that an edit was matched to, -1 if unmatched."""
    level = group.config["edit"].get("match_loss")
    return -1.0 if level is None else float(level)


@TABLES.register("skills")
class Skills(Table):
    """The answers by family of questions of the base and of each method at its chosen setting, and what is retained."""

    title = "Answers by family"
    notes = (RULE, RETAINED)

    def columns_of(self, report: Report) -> tuple[Column, ...]:
        """Return a column for the answers to each family of questions, and for what is retained of it."""
        return (
            *HEAD,
            SETTING,
            SEEDS,
            Column("memorized", "memorized", "percent"),
            Column("validation", "validation", "percent"),
            Column("perplexity", "perplexity", "number"),
            *(Column(f"accuracy_{name}", name.replace("_", " "), "percent") for name in report.families),
            *(Column(f"retention_{name}", f"{name.replace('_', ' ')} retained", "percent") for name in report.families),
        )

    def rows(self, report: Report) -> Iterator[tuple[Cell, ...]]:
        """Yield a row for the base and each method."""
        names = [column.key for column in self.columns_of(report)[len(HEAD) + 2 :]]
        for training, base in report.judged if report.families else ():
            chosen = [(g[0], choose(g, base).group) for g in report.methods(training)]
            shown = [("base", base), *((report.names.method(first), group) for first, group in chosen if group)]
            for method, group in shown:
                head = (report.names.training(training), method, information_of(group), setting(group) or None)
                yield (*head, *measured(group, names))
