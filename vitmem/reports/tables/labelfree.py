"""The table of choices by label-free rules, beside the choice by truth on the selection halves. No torch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vitmem.registry import TABLES
from vitmem.reports.aggregate import Group, Training, at, estimate, kept
from vitmem.reports.budget import information_of
from vitmem.reports.choose import ROUNDING, choose
from vitmem.reports.columns import HEAD, MEASURES, RULE, SEEDS, SETTING, percent
from vitmem.reports.evidence import Evidence, evidence
from vitmem.reports.naming import setting
from vitmem.reports.render import Cell, Column
from vitmem.reports.report import Report
from vitmem.reports.rules import RULES, Rule
from vitmem.rows import Row

NEAR = 0.03
ANY = "any setting"
REGRETS = ("regret", "matched", "chosen_regret", "minus_chosen")
COLUMNS = (
    *HEAD,
    Column("rule", "rule"),
    SETTING,
    SEEDS,
    *percent(),
    Column("regret", "regret", "change"),
    Column("validation_of_oracle_minus_rule", "validation: oracle - rule", "change"),
    Column("regret_to_chosen", "regret to chosen", "change"),
    Column("validation_minus_chosen", "validation: rule - chosen", "change"),
    Column("cases", "cases", "count"),
    Column("cases_near", f"within {100 * NEAR:g}", "count"),
    Column("cases_near_chosen", f"within {100 * NEAR:g} of chosen", "count"),
)
NOTES = (
    RULE,
    "the rule chooses for each network separately; a setting is followed by the number of seeds with this choice, "
    "'unedited' means no edit; 'any setting' is the mean over all settings, a random choice",
    "regret: recovered of an oracle at equal validation minus that of the rule, positive when the rule is worse; among "
    "the settings of the method on the same network (and the unedited network) with at least the selection validation "
    "of the rule's choice, the oracle takes the one with the largest selection recovered; both are reported on the "
    "other halves, where validation: oracle - rule shows how well they are matched",
    "regret to chosen: recovered at the setting of the table 'chosen' (one for all seeds) minus that of the rule, at "
    "different validation, see validation: rule - chosen; regret at equal validation is small for a weak edit, and for "
    "a method with few settings",
    "all: mean over the cases (one model and one method each) to which the rule applies, interval over the seeds; "
    f"within {100 * NEAR:g}: cases with a mean regret of at most {100 * NEAR:g} points; of chosen: cases with "
    "recovered and validation at most this much below those of the setting of the table 'chosen'",
    *(f"{rule.name}: {rule.why}" for rule in RULES),
)


@dataclass(frozen=True)
class Network:
    """All rows of one trained network and one method: unedited, by setting, and at the setting chosen by truth.

    ``before`` and ``after`` are the label-free evidence of the unedited row and of the settings.
    """

    seed: int
    unedited: Row
    rows: Sequence[Row]
    settings: Sequence[str]
    chosen: Row | None
    before: Evidence
    after: Sequence[Evidence]


@dataclass(frozen=True)
class Case:
    """Result of one rule on one method and one model: counts of chosen settings, and numbers by name and seed."""

    model: str
    first: Group
    rule: str
    settings: str
    values: Mapping[str, Mapping[int, float]]


@TABLES.register("labelfree", title="Chosen without labels", columns=COLUMNS, notes=NOTES)
def labelfree(report: Report) -> Iterator[tuple[Cell, ...]]:
    """Choices of rules without labels: the mean of each rule over all cases, then every case."""
    cases = [case for training, base in report.judged for case in _cases(report, training, base)]
    for name in (*(rule.name for rule in RULES), ANY):
        if some := [case for case in cases if case.rule == name]:
            yield _summary(name, some)
    for case in cases:
        yield _row(report, case)


def _cases(report: Report, training: Training, base: Group) -> Iterator[Case]:
    """Yield a case for every method of ``training`` and rule with enough evidence in the rows."""
    name = report.names.training(training)
    for groups in report.methods(training):
        networks = list(_networks(groups, base))
        cases = [case for rule in RULES if (case := _case(name, groups[0], networks, rule)) is not None]
        yield from cases
        if cases:
            yield Case(name, groups[0], ANY, "", _values([(n, n.rows) for n in networks]))


def _networks(groups: Sequence[Group], base: Group) -> Iterator[Network]:
    """Yield the networks of the seeds that have an unedited row with wrong labels to recover, and any edit."""
    chosen = choose(groups, base).group
    for seed, unedited in sorted(base.rows.items()):
        edited = [group for group in groups if seed in group.rows]
        if edited and at("selection", "recovered")(unedited) is not None:
            best = None if chosen is None else chosen.rows.get(seed)
            rows, evidence_of_edits = [g.rows[seed] for g in edited], [_evidence(g)[seed] for g in edited]
            yield Network(
                seed, unedited, rows, [setting(g) for g in edited], best, _evidence(base)[seed], evidence_of_edits
            )


@kept
def _evidence(group: Group) -> Mapping[int, Evidence]:
    return {seed: evidence(row) for seed, row in group.rows.items()}


def _case(model: str, first: Group, networks: Sequence[Network], rule: Rule) -> Case | None:
    """Return the choices of ``rule`` on each of ``networks`` that it applies to, ``None`` without any."""
    picks: list[tuple[Network, Sequence[Row]]] = []
    taken: Counter[str] = Counter()
    for network in networks:
        if rule.applies(network.before, network.after):
            place = rule.pick(network.before, network.after)
            picks.append((network, [network.unedited if place is None else network.rows[place]]))
            taken["unedited" if place is None else network.settings[place]] += 1
    settings = "; ".join(f"{text} ({count})" if len(taken) > 1 else text for text, count in taken.most_common())
    return Case(model, first, rule.name, settings, _values(picks)) if picks else None


def _values(picks: Sequence[tuple[Network, Sequence[Row]]]) -> dict[str, dict[int, float]]:
    """Return the numbers of the picks on each network, averaged over several picks, by name and seed."""
    values: dict[str, dict[int, float]] = {}
    for network, rows in picks:
        numbers = [_numbers(row, network) for row in rows]
        for name in numbers[0]:
            values.setdefault(name, {})[network.seed] = math.fsum(n[name] for n in numbers) / len(numbers)
    return values


def _numbers(row: Row, network: Network) -> dict[str, float]:
    """Return measures and regrets of the edit ``row`` among all rows of its network, and against the chosen one."""
    best, chosen = oracle(row, [network.unedited, *network.rows]), network.chosen
    out = {name: row["metrics"][name] for name in MEASURES}
    out["regret"] = best["metrics"]["recovered"] - row["metrics"]["recovered"]
    out["matched"] = best["metrics"]["validation"] - row["metrics"]["validation"]
    if chosen is not None:
        out["chosen_regret"] = chosen["metrics"]["recovered"] - row["metrics"]["recovered"]
        out["minus_chosen"] = row["metrics"]["validation"] - chosen["metrics"]["validation"]
    return out


def oracle(row: Row, network: Sequence[Row]) -> Row:
    """Return the row of ``network`` with the most recovered among those of at least the validation of ``row``.

    Both are on the selection half, where the oracle knows the truth; the first of equal ones.
    """
    floor = row["selection"]["validation"] - ROUNDING
    near = [other for other in network if other["selection"]["validation"] >= floor]
    return max(near, key=lambda other: other["selection"]["recovered"])


def _row(report: Report, case: Case) -> tuple[Cell, ...]:
    head = (case.model, report.names.method(case.first), information_of(case.first), case.rule, case.settings)
    numbers = [estimate(list(case.values.get(name, {}).values())) for name in (*MEASURES, *REGRETS)]
    return (*head, len(case.values["regret"]), *numbers, None, None, None)


def _summary(rule: str, cases: Sequence[Case]) -> tuple[Cell, ...]:
    """Return the row of the means over ``cases`` of one rule, seed by seed."""
    seeds = sorted({seed for case in cases for seed in case.values["regret"]})
    numbers = []
    for name in (*MEASURES, *REGRETS):
        by_seed = [[c.values[name][seed] for c in cases if seed in c.values.get(name, {})] for seed in seeds]
        numbers.append(estimate([math.fsum(some) / len(some) for some in by_seed if some]))
    near = sum(_near(case.values["regret"]) for case in cases)
    compared = [case for case in cases if "chosen_regret" in case.values]
    lost = [{seed: -won for seed, won in case.values["minus_chosen"].items()} for case in compared]
    of_chosen = sum(_near(c.values["chosen_regret"]) and _near(v) for c, v in zip(compared, lost, strict=True))
    return ("all", "all", None, rule, None, len(seeds), *numbers, len(cases), near, of_chosen)


def _near(values: Mapping[int, float]) -> bool:
    """Return whether the mean of ``values`` over the seeds is at most three points."""
    return math.fsum(values.values()) / len(values) <= NEAR + ROUNDING
