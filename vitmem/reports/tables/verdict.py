"""The effect of a suite's edits at no loss, in a sentence for each network and a table. Does not import torch.

The best edit that reads no labels is compared with shrinkage, the data-free methods: an effect that those reach at the
same cost is not due to curvature. Both are chosen by ``choose`` with a drop of 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from vitmem.entries import Table
from vitmem.registry import TABLES
from vitmem.reports.aggregate import Estimate, Group, Training, at, difference, differences
from vitmem.reports.budget import information_of
from vitmem.reports.choose import GATE, MEMORIZED, choose, judged
from vitmem.reports.columns import HEAD, NO_LOSS, SEEDS, SETTING, measured, named, percent
from vitmem.reports.lead import SHRINKAGE, shrinks
from vitmem.reports.naming import is_control, setting
from vitmem.reports.paired import Ends, compare, t_interval
from vitmem.reports.render import Cell, Column, counted, ends_text, fixed
from vitmem.reports.report import Report

# Inputs without labels, and only the weights of a network trained for the method.
WITHOUT_LABELS = ("unlabelled", "train-time")
COLUMNS = (*HEAD, SETTING, SEEDS, *percent(), Column("validation_minus_base", "validation - base", "change"))
SHRINKING = "shrinkage: data-free methods (uniform scaling, SVD, random basis)"


@dataclass(frozen=True)
class Verdict:
    """The best edit without labels of one training and the best shrinkage, ``None`` without a lossless setting.

    ``sentence`` states the remaining memorized share under both, on the reporting halves. ``drop`` is the loss of
    selection accuracy that both were allowed.
    """

    training: Training
    edit: Group | None
    shrinkage: Group | None
    sentence: str
    drop: float = 0.0

    @cached_property
    def lead(self) -> Estimate | None:
        """Memorized under the shrinkage minus that under the edit, paired over the seeds; ``None`` without both."""
        if self.edit is None or self.shrinkage is None:
            return None
        return difference(self.shrinkage, self.edit, at("metrics", "memorized"))

    @cached_property
    def ends(self) -> Ends | None:
        """The ends of the 95 % interval of ``lead``, ``None`` without one."""
        return None if self.edit is None or self.shrinkage is None else _ends(self.shrinkage, self.edit)

    @property
    def ahead(self) -> bool:
        """Whether the whole interval of ``lead`` is above 0."""
        return self.ends is not None and self.ends[0] > 0


@TABLES.register("verdict")
class VerdictTable(Table):
    """The base and each method at its setting without loss, with a sentence for each network."""

    title = "At no loss"
    columns = COLUMNS
    notes = (NO_LOSS, SHRINKING)

    def rows(self, report: Report) -> Iterator[tuple[Cell, ...]]:
        """Yield a row for the base and each method of the networks that can be judged."""
        for verdict in verdicts(report):
            training, base = verdict.training, verdict.training.base
            assert base is not None
            yield *named(report, training, base)[:2], None, None, *measured(base), None
            for groups in report.methods(training):
                choice, head = choose(groups, base, 0.0), named(report, training, groups[0])
                group = choice.group
                if group is None:
                    yield *head, choice.why, *([None] * (len(COLUMNS) - len(head) - 1))
                else:
                    change = difference(group, base, at("metrics", "validation"))
                    yield *head, setting(group, groups), *measured(group), change

    def remarks(self, report: Report, rows: Sequence[tuple[Cell, ...]]) -> Iterator[str]:
        """Yield the sentence of each network."""
        yield from (found.sentence for found in verdicts(report))


def verdicts(report: Report) -> list[Verdict]:
    """Return one for each training that has an unedited model, something memorized, and an edit without labels."""
    return [verdict for training in report.trainings if (verdict := _verdict(report, training)) is not None]


def _verdict(report: Report, training: Training) -> Verdict | None:
    methods = report.methods(training)
    edits = [g for g in methods if is_edit(g[0])]
    shrinking = [g for g in methods if shrinks(g[0])]
    base = training.base
    memorized = None if base is None else base.estimate(at("metrics", "memorized"))
    if base is None or memorized is None or not edits:
        return None
    about = f"{report.names.training(training)} ({counted(len(base.rows), 'seed')})"
    if judged(base) and memorized.mean < GATE:
        small = f"the base memorizes {_percent(memorized)} %, and below {100 * GATE:g} % nothing is judged"
        return Verdict(training, None, None, f"{about}: nothing to take away: {small}.")
    edit, control = best_setting(edits, base), best_setting(shrinking, base)
    if edit is None:
        names = _listed(report.names.method(g[0]) for g in edits)
        sentence = f"{about}: no setting of {names} keeps the accuracy of the base"
        if control is not None:
            sentence += f"; {report.names.method(control)} leaves {_left(control)} of {_percent(memorized)} %"
        return Verdict(training, None, control, f"{sentence}.")
    sentence = f"{about}: {_what_it_did(report, edit, base)}{_beside(report, edit, control, shrinking)}."
    return Verdict(training, edit, control, sentence)


def without_the_best(report: Report, verdict: Verdict) -> Verdict | None:
    """Return the verdict with the next best of all settings, to see whether a lead hangs on a single one.

    ``None`` unless ``verdict`` is ahead of shrinkage. Its ``edit`` is ``None`` if no other setting keeps the accuracy.
    """
    training, best, control = verdict.training, verdict.edit, verdict.shrinkage
    if training.base is None or best is None or control is None or not verdict.ahead:
        return None
    others = [[g for g in groups if g is not best] for groups in report.methods(training) if is_edit(groups[0])]
    edit = best_setting(filter(None, others), training.base, verdict.drop)
    about = f"{report.names.training(training)}: without {_named(report, best)}"
    if edit is None:
        return Verdict(training, None, control, f"{about} no setting keeps the accuracy of the base.", verdict.drop)
    left = f"{about} the best setting is {_named(report, edit)}, which leaves {_left(edit)} %"
    return Verdict(training, edit, control, f"{left}{_beside(report, edit, control, [[control]])}.", verdict.drop)


def best_setting(methods: Iterable[Sequence[Group]], base: Group, drop: float = 0.0) -> Group | None:
    """Return the setting of all ``methods`` with the largest drop of selection memorized, or ``None``.

    It loses at most ``drop`` of the selection accuracy of ``base``.
    """
    chosen = [group for groups in methods if (group := choose(groups, base, drop).group) is not None]
    return max(chosen, key=lambda group: _mean(differences(base, group, MEMORIZED)), default=None)


def is_edit(group: Group) -> bool:
    """Return whether ``group`` reads no labels and is not a control; if not recorded, whether it has statistics."""
    information = information_of(group)
    without = information in WITHOUT_LABELS if information is not None else "statistics" in group.config
    return without and group.method not in SHRINKAGE and not is_control(group.method)


def _what_it_did(report: Report, edit: Group, base: Group) -> str:
    """Return the effect of ``edit``: removed and recovered labels, and the cost; or that it has no effect."""
    name = _named(report, edit)
    before, after = _left(base), _left(edit)
    fall = difference(edit, base, at("metrics", "memorized"))
    ends = _ends(edit, base)
    if fall is None or fall.mean >= 0 or (ends is not None and ends[1] >= 0):
        return f"at no loss {name} takes nothing away beyond chance: {before} % before, {after} % after"
    text = f"at no loss {name} takes memorized from {before} to {after} %"
    back = [group.estimate(at("metrics", "recovered")) for group in (edit, base)]
    if back[0] is not None and back[1] is not None:
        text += f" and gives {_percent(back[0])} % of these images their true label ({_percent(back[1])} % before)"
    change = difference(edit, base, at("metrics", "validation"))
    return text if change is None else f"{text}, validation {fixed(100 * change.mean, 1, sign=True)} points"


def _named(report: Report, group: Group) -> str:
    return f"{report.names.method(group)} ({setting(group)})" if setting(group) else report.names.method(group)


def _beside(report: Report, edit: Group, control: Group | None, shrinking: Sequence[Sequence[Group]]) -> str:
    """Return the result of the best shrinkage, and whether its difference to ``edit`` is beyond chance."""
    if not shrinking:
        return ""
    if control is None:
        return f"; no setting of {_listed(report.names.method(g[0]) for g in shrinking)} keeps the accuracy of the base"
    gap, ends = difference(control, edit, at("metrics", "memorized")), _ends(control, edit)
    text = f"; the best shrinkage, {report.names.method(control)}, leaves {_left(control)} %"
    if gap is None:
        return text
    more = f"{fixed(100 * abs(gap.mean), 1)} points {'more' if gap.mean >= 0 else 'less'}"
    if ends is None:
        return f"{text}, {more} (no interval)"
    if ends[0] <= 0 <= ends[1]:
        return f"{text}, which cannot be told apart ({ends_text(*ends)} points)"
    return f"{text}, {more} ({ends_text(*ends)})"


def _ends(group: Group, other: Group) -> Ends | None:
    """Return the 95 % interval of ``group`` minus ``other`` in memorized: over the seeds, or the items of one."""
    comparison = compare(group, other, "memorized")
    if comparison is not None:
        return comparison.ends
    mean = difference(group, other, at("metrics", "memorized"))
    return None if mean is None else t_interval(mean)


def _left(group: Group) -> str:
    value = group.estimate(at("metrics", "memorized"))
    return "–" if value is None else _percent(value)


def _percent(value: Estimate) -> str:
    return fixed(100 * value.mean, 1)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _listed(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
