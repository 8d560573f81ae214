"""The targets of prediction for each network: an edit works, and curvature beats shrinkage. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vitmem.reports.aggregate import Group
from vitmem.reports.choose import ROUNDING
from vitmem.reports.lead import Site, edited_layers, sites
from vitmem.reports.naming import method_key
from vitmem.reports.report import Report

from .outcomes import Outcome, outcomes

WORKS, LEADS = "works", "beats shrinkage"
# Smallest lead over the best shrinkage that counts as beating it.
ENOUGH = 0.05
# Methods with data-dependent statistics, compared with data-free ones.
CURVATURE = ("kfac", "kfac_input")


@dataclass(frozen=True)
class Unit:
    """One method on one training setting: its score by seed, and whether the score is a hit.

    ``base`` is the unedited model, ``ablated`` the one with the edited matrices at zero; ``place`` is the number of the
    training setting.
    """

    base: Group
    ablated: Group | None
    scores: Mapping[int, float]
    hits: Mapping[int, bool]
    place: int


Target = Mapping[str, list[Unit]]


def targets(report: Report) -> dict[str, Target]:
    """Return target -> method name -> units, without those whose base fails the gate."""
    found = [outcome for outcome in outcomes(report, 0.0) if outcome.judged]
    place = {id(training): n for n, training in enumerate(report.trainings)}
    known = {id(o.training): sites(o.training) for o in found}
    works: dict[str, list[Unit]] = {}
    for outcome in found:
        own = _works(outcome, known[id(outcome.training)], place[id(outcome.training)])
        works.setdefault(report.names.method(outcome.first), []).append(own)
    leads: dict[str, list[Unit]] = {}
    for method in CURVATURE:
        for training, some in known.items():
            for site in some:
                if site.shrinkage and (groups := site.settings(method)):
                    leads.setdefault(report.names.method(groups[0]), []).append(_leads(site, groups, place[training]))
    return {WORKS: works, LEADS: leads}


def _works(outcome: Outcome, known: list[Site], place: int) -> Unit:
    """Return the relative fall of memorized and whether it is enough at no loss.

    With several sets of layers, ``ablated`` is that of the largest.
    """
    falls, changes = outcome.falls, outcome.changes
    hits = {seed: outcome.works(fall, changes[seed]) for seed, fall in falls.items() if seed in changes}
    key = method_key(outcome.first)
    told = [s.ablated for s in known if s.ablated is not None and any(method_key(g) == key for g in s.groups)]
    return Unit(outcome.base, max(told, key=edited_layers, default=None), falls, hits, place)


def _leads(site: Site, groups: list[Group], place: int) -> Unit:
    """Return the lead over the best shrinkage and whether it is enough."""
    lead = site.lead_by_seed(site.chosen(groups))
    return Unit(site.base, site.ablated, lead, {s: value >= ENOUGH - ROUNDING for s, value in lead.items()}, place)
