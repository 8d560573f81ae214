"""A suite in one line, or in one for each network where it has few. Does not import torch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vitmem.reports.aggregate import Group, Training, at, canonical_text
from vitmem.reports.budget import hours, information_of
from vitmem.reports.choose import GATE, judged
from vitmem.reports.lead import shrinks
from vitmem.reports.naming import title_of
from vitmem.reports.notes import data_name, span, versions
from vitmem.reports.render import Cell, ends_text, fixed
from vitmem.reports.report import Report
from vitmem.reports.tables.verdict import Verdict, without_the_best

# Suites of more networks have one line, with ranges.
FEW = 2
SHARED = "hours: of all processes together; a training that several suites share counts in each"


class Named(NamedTuple):
    """A method, or several with how often each is the best, and its numbers."""

    title: str
    numbers: str

    @property
    def text(self) -> str:
        """Both in one text."""
        return f"{self.title}: {self.numbers}"


@dataclass(frozen=True)
class Line:
    """One line about the networks of a suite: texts, of which those that are missing are ``None``.

    ``leads`` are those of its networks as fractions; ``stands`` says of each training that is ahead of shrinkage, by
    the canonical text of its configuration, whether it is without its best setting. ``made_by`` are the devices and
    versions of its rows, ``facets`` the names of its data and networks, the methods tried and their information, by
    what they are.
    """

    suite: str
    data: str
    network: str
    base: str | None
    edit: Named | None
    shrinkage: Named | None
    lead: str | None
    verdict: str
    seeds: str
    hours: str | None
    leads: tuple[float, ...]
    stands: Mapping[str, bool]
    made_by: frozenset[str]
    facets: Mapping[str, tuple[str, ...]]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells of the landing tables."""
        return (
            self.suite,
            f"{self.data}; {self.network}",
            self.base,
            self.edit and self.edit.text,
            self.shrinkage and self.shrinkage.text,
            ": ".join(text for text in (self.lead, self.verdict) if text),
            ", ".join(text for text in (self.seeds, self.hours) if text),
        )


def lines(report: Report, verdicts: Iterable[Verdict], measures: Sequence[str]) -> list[Line]:
    """Return the lines of one suite; ``measures`` are shown of the base and of the best edit."""
    by_training = {id(verdict.training): verdict for verdict in verdicts}
    found = [(training, by_training.get(id(training))) for training, _ in report.judged]
    parts = [[one] for one in found] if len(found) <= FEW else [found]
    return [_line(report, part, measures) for part in parts]


def _line(report: Report, part: Sequence[tuple[Training, Verdict | None]], measures: Sequence[str]) -> Line:
    trainings = [training for training, _ in part]
    words = [word(report, *one) for one in part]
    shown = [one for one in part if _enough(one[0])] or part
    verdicts = [verdict for _, verdict in shown if verdict is not None]
    leads = tuple(verdict.lead.mean for verdict in verdicts if verdict.lead is not None)
    rows = [row for training in trainings for group in report.cells(training) for row in group.rows.values()]
    spent = math.fsum(own for own, _ in hours(rows).values())
    seeds = span([len(training.base.rows) for training in trainings if training.base])
    return Line(
        report.suite,
        _data(report, trainings),
        networks(trainings, _differing(report, trainings)),
        _numbers([training.base for training, _ in shown if training.base], measures),
        _named(report, [v.edit for v in verdicts if v.edit], measures),
        _named(report, [v.shrinkage for v in verdicts if v.shrinkage], measures[:1]),
        _lead(verdicts, leads),
        counted_words(words),
        seeds,
        fixed(spent, 1 if spent >= 1 else 2) if spent else None,
        leads,
        {canonical_text(training.config): found.ahead for training, found in _without_best(report, verdicts)},
        frozenset(_maker(row["environment"]) for row in rows if row.get("environment")),
        _facets(report, trainings),
    )


def _without_best(report: Report, verdicts: Iterable[Verdict]) -> Iterator[tuple[Training, Verdict]]:
    for verdict in verdicts:
        if (found := without_the_best(report, verdict)) is not None:
            yield verdict.training, found


def _facets(report: Report, trainings: Sequence[Training]) -> dict[str, tuple[str, ...]]:
    """Return what a reader may look for among the suites, sorted: data, networks, methods and their information."""
    tried = [groups[0] for training in trainings for groups in report.methods(training)]
    found: dict[str, set[str | None]] = {
        "data": {data_name(training.config["data"]) for training in trainings},
        "network": {str(training.config["model"]["name"]) for training in trainings},
        "method": {title_of(group.method) for group in tried},
        "information": {information_of(group) for group in tried},
    }
    return {facet: tuple(sorted(name for name in names if name)) for facet, names in found.items()}


def _differing(report: Report, trainings: Sequence[Training]) -> list[str]:
    """Return the differences of a single network to the others of its suite."""
    return report.names.differing(trainings[0], ("model", "recipe")) if len(trainings) == 1 else []


def _maker(environment: Mapping[str, object]) -> str:
    return f"{environment.get('device_name') or environment.get('device')}: {versions(environment)}"


def networks(trainings: Sequence[Training], differing: Sequence[str] = ()) -> str:
    """Return the names of the models, their number of tokens if known, and the number of networks if several.

    ``differing`` are differences to the other networks of the suite.
    """
    names = ", ".join(sorted({str(training.config["model"]["name"]) for training in trainings}))
    rows = [row for training in trainings if training.base for row in training.base.rows.values()]
    tokens = [count for row in rows if (count := at("counts", "tokens")(row)) is not None]
    parts = [f"{span(tokens)} token{'' if set(tokens) == {1} else 's'}"] if tokens else []
    several = [f"{len(trainings)} networks"] if len(trainings) > 1 else []
    return ", ".join([" ".join([names, *differing]), *parts, *several])


def _enough(training: Training) -> bool:
    """Return whether the base memorizes enough for something to be removed, where the gate applies."""
    base = training.base
    before = None if base is None or not judged(base) else base.estimate(at("metrics", "memorized"))
    return before is None or before.mean >= GATE


def word(report: Report, training: Training, verdict: Verdict | None) -> str:
    """Return the verdict on one network in a few words."""
    if not _enough(training):
        return "nothing to remove"
    if verdict is None:
        return "no edits"
    if verdict.edit is None:
        return "no edit keeps accuracy"
    if verdict.lead is None:
        tried = any(shrinks(groups[0]) for groups in report.methods(training))
        return "no shrinkage keeps accuracy" if tried else "no shrinkage tried"
    if verdict.ends is None:
        return "no interval"
    low, high = verdict.ends
    return "ahead" if low > 0 else "behind" if high < 0 else "not told apart"


def counted_words(words: Sequence[str]) -> str:
    """Return the verdicts in ``words``; of several networks, with the number of networks of each."""
    counts = Counter(words).most_common()
    return words[0] if len(words) == 1 else ", ".join(f"{word} in {count}" for word, count in counts)


def _data(report: Report, trainings: Sequence[Training]) -> str:
    """Return the names of the data, the number of training items, and the noises if they differ."""
    names = ", ".join(sorted({data_name(training.config["data"]) for training in trainings}))
    rows = [row for training in trainings if training.base for row in training.base.rows.values()]
    items = [count for row in rows if (count := at("counts", "train")(row)) is not None]
    noises = {text for training in trainings for text in report.names.differing(training, ("noise",))}
    shown = [f"{len(noises)} noises"] if len(noises) > 1 else sorted(noises)
    return ", ".join([f"{span(items)} of {names}" if items else names, *shown])


def _numbers(groups: Sequence[Group], measures: Sequence[str]) -> str | None:
    """Return the means of ``measures`` in one text, as ranges over several groups; ``None`` without any."""
    texts = []
    for name in measures:
        values = [value.mean for group in groups if (value := group.estimate(at("metrics", name))) is not None]
        scale, digits = 1 if name == "perplexity" else 100, 1 if len(groups) == 1 else 0
        ends = [fixed(scale * end, digits) for end in (min(values), max(values))] if values else ["–"]
        texts.append("–".join(dict.fromkeys(ends)))
    return " / ".join(texts) if groups else None


def _named(report: Report, groups: Sequence[Group], measures: Sequence[str]) -> Named | None:
    """Return the name of a method with its numbers; of several groups, the titles by how often they are chosen."""
    numbers = _numbers(groups, measures)
    if numbers is None:
        return None
    titles = Counter(title_of(group.method) for group in groups)
    several = "; ".join(f"{title} ({count})" for title, count in titles.most_common())
    return Named(report.names.method(groups[0]) if len(groups) == 1 else several, numbers)


def _lead(verdicts: Sequence[Verdict], leads: Sequence[float]) -> str | None:
    """Return the lead in points with its interval; of several networks, the smallest and the largest."""
    texts = [fixed(100 * value, 1, sign=True) for value in sorted({min(leads), max(leads)})] if leads else []
    ends = [verdict.ends for verdict in verdicts if verdict.ends is not None]
    interval = f" ({ends_text(*ends[0])})" if len(leads) == 1 and ends else ""
    return f"{' to '.join(texts)}{interval}" if texts else None
