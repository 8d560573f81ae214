"""Factors of an edit's selection of direction pairs: two bases, an importance and labels. No torch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from vitmem.reports.aggregate import Group, Training, at, canonical_text, differences
from vitmem.reports.choose import GATE, ROUNDING
from vitmem.reports.lead import MEMORIZED, Site, sites
from vitmem.reports.naming import title_of, variant

LABELS = "statistics.labels"
SAMPLED = "sampled"
# Only images have this count; text has other metrics.
IMAGES = at("counts", "noisy_report")


@dataclass(frozen=True)
class Kind:
    """A ranking of direction pairs: ``parameters`` of ``method``, and a description of its bases and importance.

    ``labelled``: whether it depends on the labels of the statistics.
    """

    method: str
    parameters: tuple[tuple[str, Any], ...]
    output: str
    input: str
    importance: str
    labelled: bool = True

    @property
    def name(self) -> str:
        """The method's name with its parameters."""
        return " ".join([title_of(self.method), *(f"{key}={value}" for key, value in self.parameters)])


G, A, BOTH = "eigenvectors of G", "eigenvectors of A", "product of both sides"
MEAN = "mean input, covariance"
PROFILE = "K-FAC's, in its order"
U, V = "left singular vectors", "right singular vectors"
KINDS = (
    Kind("kfac", (), G, A, BOTH),
    Kind("kfac", (("side", "A"),), G, A, "input side alone"),
    Kind("kfac", (("side", "G"),), G, A, "output side alone"),
    Kind("kfac_input", (), "none: whole rows", A, "input side alone", labelled=False),
    Kind("kfac_input", (("centered", True),), "none: whole rows", MEAN, "input side alone", labelled=False),
    Kind("kfac", (("importance", "centered"),), G, MEAN, BOTH),
    Kind("kfac", (("importance", "ekfac"),), G, A, "each pair as measured"),
    Kind("kfac", (("importance", "ckfac"),), G, A, "product of coupled moments"),
    Kind("kfac", (("importance", "tkfac"),), "eigenvectors of coupled G", "eigenvectors of coupled A", BOTH),
    Kind("kfac", (("importance", "foof"),), "axes", A, "input side alone", labelled=False),
    Kind("kfac", (("importance", "identity"),), "axes", "axes", BOTH),
    Kind("random_basis", (("random", "input"),), G, "random", PROFILE),
    Kind("random_basis", (("random", "output"),), "random", A, PROFILE),
    Kind("random_basis", (), "random", "random", PROFILE),
    Kind("singular_basis", (), U, V, "product of curvatures"),
    Kind("singular_basis", (("side", "A"),), U, V, "input side alone"),
    Kind("singular_basis", (("side", "G"),), U, V, "output side alone"),
    Kind("svd", (), U, V, "singular values", labelled=False),
)


@dataclass(frozen=True)
class Observed:
    """Differences in memorized at no loss between one kind and two references on one training: means over its seeds.

    ``over_kfac`` is against K-FAC (``None`` for K-FAC itself), ``over_input`` against the edit ``kfac_input`` (``None``
    for itself, and where the suite lacks it). ``edited``: whether any setting has no loss.
    """

    kind: Kind
    labels: str
    suite: str
    training: str
    seeds: int
    over_kfac: float | None
    over_input: float | None
    edited: bool

    @cached_property
    def name(self) -> str:
        """The kind's name, with the labels of its statistics unless they are sampled from the network."""
        return self.kind.name if self.labels in (SAMPLED, "") else f"{self.kind.name} labels={self.labels}"


def observed(suite: str, trainings: Iterable[Training]) -> list[Observed]:
    """Return the differences of all kinds on each training that passes the gate; empty for fewer than two kinds."""
    found = [one for training in trainings if _judged(training) for one in _of(suite, training)]
    return found if len({one.name for one in found}) > 1 else []


def once(found: Iterable[Observed]) -> list[Observed]:
    """Return each kind once per training, without duplicates from suites that share a training.

    Prefers the suite with the most seeds, then one with the input side, then the one with the most kinds.
    """
    found = list(found)
    kinds = Counter((one.suite, one.training) for one in found)

    def rank(one: Observed) -> tuple[int, bool, int, str]:
        return -one.seeds, one.over_input is None, -kinds[one.suite, one.training], one.suite

    best: dict[tuple[str, str], Observed] = {}
    for one in sorted(found, key=rank):
        best.setdefault((one.name, one.training), one)
    return list(best.values())


def _judged(training: Training) -> bool:
    """Return whether the training is on images and its base passes the gate on memorized."""
    if training.base is None or training.base.estimate(IMAGES) is None:
        return False
    before = training.base.estimate(MEMORIZED)
    return before is not None and before.mean >= GATE - ROUNDING


def _of(suite: str, training: Training) -> Iterator[Observed]:
    """Yield the differences of each kind on one training, averaged over its sets of layers."""
    lines: dict[tuple[int, str], list[tuple[int, float, float | None, bool]]] = {}
    for site in sites(training):
        plain = site.settings("kfac")
        if not plain or LABELS in variant(plain[0]):
            continue
        side = site.settings("kfac_input")
        kfac, inner = _left(site, plain), _left(site, side) if side else None
        for (place, labels), groups in _kinds(site, plain[0]).items():
            left = _left(site, groups)
            against = differences(left, kfac, MEMORIZED)
            if against:
                itself = bool(side) and groups[0] is side[0]
                other = None if inner is None or itself else differences(left, inner, MEMORIZED)
                line = (len(against), _mean(against), _mean(other) if other else None, left is not site.base)
                lines.setdefault((place, labels), []).append(line)
    for (place, labels), some in sorted(lines.items()):
        inputs = [over for _, _, over, _ in some if over is not None]
        yield Observed(
            KINDS[place],
            labels,
            suite,
            canonical_text(training.config),
            seeds=min(seeds for seeds, *_ in some),
            over_kfac=None if (place, labels) == (0, SAMPLED) else _mean([over for _, over, *_ in some]),
            over_input=_mean(inputs) if inputs else None,
            edited=any(edited for *_, edited in some),
        )


def _kinds(site: Site, plain: Group) -> dict[tuple[int, str], list[Group]]:
    """Return (index in KINDS, labels) -> settings, for statistics that differ only in labels."""
    same = _statistics(plain)
    found: dict[tuple[int, str], list[Group]] = {}
    for group in site.groups:
        own = {key: value for key, value in variant(group).items() if not key.startswith("statistics.")}
        for place, kind in enumerate(KINDS):
            if group.method == kind.method and own == dict(kind.parameters):
                labels = str(variant(group).get(LABELS, SAMPLED))
                if "statistics" in group.config and _statistics(group) != same:
                    continue
                if kind.labelled or labels == SAMPLED:
                    found.setdefault((place, labels if kind.labelled else ""), []).append(group)
    return found


def _statistics(group: Group) -> dict[str, Any]:
    """Return the options of the statistics without the labels."""
    return {key: value for key, value in variant(group).items() if key.startswith("statistics.") and key != LABELS}


def _left(site: Site, groups: list[Group]) -> Group:
    return site.left(site.chosen(groups))


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)
