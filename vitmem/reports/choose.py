"""Choice of a method's blocks and strength on the selection halves, never on the reported ones. Does not import torch.

The rule: of the settings whose selection accuracy, averaged over the seeds, is at most ``drop`` below the unedited
model's, take the one with the largest drop of the selection memorized.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from vitmem.reports.aggregate import Group, at, differences
from vitmem.reports.naming import method_key, setting_order

DROP = 0.02
GATE = 0.6
MEMORIZED = at("selection", "memorized")
VALIDATION = at("selection", "validation")
# Accuracies are ratios of counts: a loss equal to the allowed one must not fail by a rounding error.
ROUNDING = 1e-9


def judged(base: Group) -> bool:
    """Return whether the gate applies: something was planted for ``base`` to memorize, in training or as wrong labels.

    It does not apply to a pretrained language model.
    """
    return bool(base.config.get("recipe")) or base.config["noise"]["name"] != "none"


@dataclass(frozen=True)
class Choice:
    """The chosen setting of a method; ``group`` is ``None`` when none qualifies, with the reason in ``why``."""

    group: Group | None
    why: str = ""


def by_method(groups: Iterable[Group]) -> dict[str, list[Group]]:
    """Gather groups that differ only in blocks, layers and strength."""
    methods: dict[str, list[Group]] = {}
    for group in groups:
        methods.setdefault(method_key(group), []).append(group)
    return methods


def choose(groups: Iterable[Group], base: Group, drop: float = DROP) -> Choice:
    """Return the choice among the settings ``groups`` of one method, against ``base`` on the same seeds.

    Settings with fewer seeds than the method's most complete one are excluded: a mean over fewer seeds can win by luck.
    Ties are resolved by the smaller loss, then by the order of settings.
    """
    scored = []
    for group in groups:
        score = _score(group, base)
        if score is not None:
            scored.append((group, *score))
    if not scored:
        return Choice(None, "no finished cell with anything to memorize")
    most = max(seeds for _, seeds, _, _ in scored)
    fit = [s for s in scored if s[1] == most and s[3] <= drop + ROUNDING]
    if not fit:
        points = f"{100 * drop:g} point{'' if drop == 0.01 else 's'}"
        return Choice(None, f"no setting loses at most {points}" if drop else "no setting loses nothing")
    best = min(fit, key=lambda s: (-s[2], s[3], setting_order(s[0])))
    return Choice(best[0])


def _score(group: Group, base: Group) -> tuple[int, float, float] | None:
    """Return the number of seeds, the mean drop of memorized and the mean loss of accuracy, ``None`` if missing.

    The result is cached for each base, because tables choose among the same settings repeatedly.
    """
    against, known = group.kept.get(_score, (None, None))
    if against is not base:
        falls, losses = differences(base, group, MEMORIZED), differences(base, group, VALIDATION)
        if falls and losses:
            known = len(falls), math.fsum(falls) / len(falls), math.fsum(losses) / len(losses)
        group.kept[_score] = base, known
    score: tuple[int, float, float] | None = known
    return score
