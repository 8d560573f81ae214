"""Success of each edit at no loss of accuracy, by training setting. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from vitmem.entries import Table
from vitmem.registry import TABLES
from vitmem.reports.aggregate import Estimate, Group, Training, at, canonical_text, difference, estimate
from vitmem.reports.budget import INFORMATION, information_of
from vitmem.reports.choose import GATE, ROUNDING, Choice, choose
from vitmem.reports.columns import METHOD, MODEL, SEEDS, SETTING
from vitmem.reports.naming import setting
from vitmem.reports.render import Cell, Column
from vitmem.reports.report import Report

# Allowed losses of accuracy, and the smallest relative fall of memorized of an edit that works.
ALLOWED = (0.0, 0.01)
ENOUGH = 0.6
# Largest number of training settings without a map.
FEW = 4
WORKS, NOTHING, NO = "works", "nothing to remove", "no"
MEMORIZED, VALIDATION = at("metrics", "memorized"), at("metrics", "validation")
COLUMNS = (
    MODEL,
    Column("allowed_drop", "allowed loss"),
    METHOD,
    INFORMATION,
    SETTING,
    SEEDS,
    Column("memorized_before", "memorized before", "percent"),
    Column("memorized", "memorized", "percent"),
    Column("relative_fall", "relative fall", "percent"),
    Column("recovered", "recovered", "percent"),
    Column("validation_minus_base", "validation - base", "change"),
    Column("verdict", "verdict"),
)
NOTES = (
    "for each allowed loss of selection accuracy (points, average over the seeds), the blocks and strength with the "
    "lowest memorized on the selection halves, reported on the other halves",
    "relative fall: share of the base's memorized that is gone, seed by seed",
    f"verdict, from means over the seeds on the report halves: '{NOTHING}' where the base memorizes less than "
    f"{100 * GATE:g} %, else '{WORKS}' where memorized falls by at least {100 * ENOUGH:g} % of itself and validation "
    f"by at most the allowed loss, without any tolerance for chance among the images; else '{NO}'",
)


@dataclass(frozen=True)
class Outcome:
    """The choice of one method on one training setting for an allowed loss; ``first`` is any of its settings."""

    training: Training
    base: Group
    first: Group
    allowed: float
    choice: Choice

    @cached_property
    def falls(self) -> dict[int, float]:
        """The relative fall of memorized by seed; 0 where no setting was chosen: the network stays as it is."""
        before, chosen = self.base.values(MEMORIZED), self.choice.group
        if chosen is None:
            return dict.fromkeys(before, 0.0)
        after = chosen.values(MEMORIZED)
        return {seed: 1 - after[seed] / value for seed, value in before.items() if seed in after and value > 0}

    @cached_property
    def changes(self) -> dict[int, float]:
        """The change of validation by seed; 0 where no setting was chosen."""
        before, chosen = self.base.values(VALIDATION), self.choice.group
        if chosen is None:
            return dict.fromkeys(before, 0.0)
        return {seed: value - before[seed] for seed, value in chosen.values(VALIDATION).items() if seed in before}

    @property
    def judged(self) -> bool:
        """Whether the base passes the gate on memorized, on average over the seeds."""
        before = self.base.estimate(MEMORIZED)
        return before is not None and before.mean >= GATE - ROUNDING

    def works(self, fall: Estimate | float | None, change: Estimate | float | None) -> bool:
        """Return whether a relative fall of memorized and a change of validation meet the rule at the allowed loss."""
        down, kept = (value.mean if isinstance(value, Estimate) else value for value in (fall, change))
        if down is None or kept is None:
            return False
        return down >= ENOUGH - ROUNDING and kept >= -self.allowed - ROUNDING

    @property
    def verdict(self) -> str:
        """The verdict from the means over the seeds."""
        if not self.judged:
            return NOTHING
        enough = self.works(estimate(list(self.falls.values())), estimate(list(self.changes.values())))
        return WORKS if enough else NO


def has_regime(report: Report) -> bool:
    """Return whether the suite trains memorizing networks in more than four settings of data, model and recipe."""
    found = [t.config for t in report.trainings if t.base is not None and t.edits and t.base.estimate(MEMORIZED)]
    ways = {canonical_text({k: c.get(k) for k in ("data", "model", "recipe")}) for c in found if c.get("recipe")}
    return len(ways) > FEW


def edited_layers(found: Sequence[Outcome]) -> str | None:
    """Return the layers of the chosen edit if the suite names them; ``None`` for those of the model."""
    edits = [o.choice.group.config["edit"] for o in found if o.choice.group is not None]
    return " or ".join(sorted({"+".join(e["layers"]) for e in edits if e.get("layers") is not None})) or None


def outcomes(report: Report, allowed: float) -> Iterator[Outcome]:
    """Yield the outcome of each method on each training at its choice for the loss ``allowed`` (a share of images).

    The ablation is excluded: it has no choice and measures the contribution of the edited matrices.
    """
    for training in report.trainings:
        if training.base is None or training.base.estimate(MEMORIZED) is None:
            continue
        for groups in report.methods(training):
            if groups[0].method != "ablate":
                yield Outcome(training, training.base, groups[0], allowed, choose(groups, training.base, allowed))


@TABLES.register("regime")
class Regime(Table):
    """Where each method works: what was chosen on each way to train for an allowed loss, what it does, a verdict."""

    title = "Where it works"
    columns = COLUMNS
    notes = NOTES

    def rows(self, report: Report) -> Iterator[tuple[Cell, ...]]:
        """Yield a row for each training setting, allowed loss and method, of suites of many trainings."""
        found = _all(report) if has_regime(report) else []
        place = {id(training): n for n, training in enumerate(report.trainings)}
        for outcome in sorted(found, key=lambda o: (place[id(o.training)], o.allowed)):
            yield _row(report, outcome)

    def remarks(self, report: Report, rows: Sequence[tuple[Cell, ...]]) -> Iterator[str]:
        """Yield the number of settings in which each method works."""
        yield from _counts(report, _all(report))


def _all(report: Report) -> list[Outcome]:
    return [outcome for allowed in ALLOWED for outcome in outcomes(report, allowed)]


def _row(report: Report, outcome: Outcome) -> tuple[Cell, ...]:
    name, method = report.names.training(outcome.training), report.names.method(outcome.first)
    head = (name, f"{100 * outcome.allowed:g}", method, information_of(outcome.first))
    before, group = outcome.base.estimate(MEMORIZED), outcome.choice.group
    if group is None:
        return *head, outcome.choice.why, None, before, None, None, None, None, outcome.verdict
    fall, change = estimate(list(outcome.falls.values())), difference(group, outcome.base, VALIDATION)
    after = (group.estimate(MEMORIZED), fall, group.estimate(at("metrics", "recovered")), change)
    return *head, setting(group), len(group.rows), before, *after, outcome.verdict


def _counts(report: Report, found: Sequence[Outcome]) -> Iterator[str]:
    """Yield, for each allowed loss, the number of judged settings in which each method works."""
    for allowed in ALLOWED:
        judged = [o for o in found if o.allowed == allowed and o.judged]
        names = dict.fromkeys(report.names.method(o.first) for o in judged)
        parts = []
        for name in names:
            own = [o for o in judged if report.names.method(o.first) == name]
            parts.append(f"{name} works in {sum(o.verdict == WORKS for o in own)} of {len(own)}")
        rest = f"settings whose base memorizes at least {100 * GATE:g} %"
        yield f"allowed loss {100 * allowed:g}, {rest}: {', '.join(parts) or 'there are none'}"
