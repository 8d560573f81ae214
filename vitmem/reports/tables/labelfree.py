"""The table of what rules without labels choose, beside what truth on the selection halves chooses. No torch."""

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
    "each network is edited by its own choice; a setting is followed by the number of seeds that took it, 'unedited' "
    "says that the rule left the network as it was; 'any setting' is the mean over all settings, a choice by lot",
    "regret: recovered of an oracle at equal validation less that of the rule, positive when the rule is worse; of the "
    "settings of the method on the same network (and the unedited network) whose validation on the selection half is "
    "at least that of the rule's choice, the oracle takes the one with the most recovered on the selection half, and "
    "both are reported on the other halves; validation: oracle - rule says how well the two are matched there",
    "regret to chosen: recovered at the setting of the table 'chosen' (one for all seeds) less that of the rule, at "
    "whatever validation the rule gives: validation: rule - chosen says what was paid or won in it; regret at equal "
    "validation is small of a weak edit, and of any where a method has few settings",
    f"all: mean over the cases (a model and a method each) that the rule can be applied to, interval over the seeds; "
    f"within {100 * NEAR:g}: cases whose mean regret is at most {100 * NEAR:g} points; of chosen: cases that have at "
    "most so many points less of recovered, and of validation, than the setting of the table 'chosen'",
    *(f"{rule.name}: {rule.why}" for rule in RULES),
)


@dataclass(frozen=True)
class Network:
    """All rows of one trained network and one method: unedited, by setting, and as truth would choose.

    ``before`` and ``after`` are what the unedited row and those of the settings tell without truth.
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
    """What one rule made of one method on one model: what was chosen how often, and numbers by name and seed."""

    model: str
    first: Group
    rule: str
    settings: str
    values: Mapping[str, Mapping[int, float]]


@TABLES.register("labelfree", title="Chosen without labels", columns=COLUMNS, notes=NOTES)
def labelfree(report: Report) -> Iterator[tuple[Cell, ...]]:
    """What rules without labels choose: the mean of each rule over all cases, then every case."""
    cases = [case for training, base in report.judged for case in _cases(report, training, base)]
    for name in (*(rule.name for rule in RULES), ANY):
        if some := [case for case in cases if case.rule == name]:
            yield _summary(name, some)
    for case in cases:
        yield _row(report, case)


def _cases(report: Report, training: Training, base: Group) -> Iterator[Case]:
    """Yield a case for every method of ``training`` and rule that its rows tell enough for."""
    name = report.names.training(training)
    for groups in report.methods(training):
        networks = list(_networks(groups, base))
        found = [case for rule in RULES if (case := _case(name, groups[0], networks, rule)) is not None]
        yield from found
        if found:
            yield Case(name, groups[0], ANY, "", _values([(n, n.rows) for n in networks]))


def _networks(groups: Sequence[Group], base: Group) -> Iterator[Network]:
    """Yield the networks of the seeds that have an unedited row with wrong labels to recover, and any edit."""
    chosen = choose(groups, base).group
    for seed, unedited in sorted(base.rows.items()):
        there = [group for group in groups if seed in group.rows]
        if there and at("selection", "recovered")(unedited) is not None:
            best = None if chosen is None else chosen.rows.get(seed)
            rows, told = [g.rows[seed] for g in there], [_evidence(g)[seed] for g in there]
            yield Network(seed, unedited, rows, [setting(g) for g in there], best, _evidence(base)[seed], told)


@kept
def _evidence(group: Group) -> Mapping[int, Evidence]:
    return {seed: evidence(row) for seed, row in group.rows.items()}


def _case(model: str, first: Group, networks: Sequence[Network], rule: Rule) -> Case | None:
    """Return what ``rule`` chooses on each of ``networks`` that it can be applied to, if there are any."""
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
    """Return the numbers of what was picked on each network, the mean of several picks, by name and seed."""
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

    Both are those of the selection half, where truth is known to the oracle; of equal ones the first.
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
    """Say whether the mean of ``values`` over the seeds is at most three points."""
    return math.fsum(values.values()) / len(values) <= NEAR + ROUNDING
