"""Choice of blocks and strength without true labels and without the list of wrong ones. Does not import torch.

A rule sees the evidence on the unedited network and on every setting of one method, and names a setting or leaves the
network unedited. Thresholds follow from the argument given with each rule; none is fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vitmem.reports.choose import DROP, ROUNDING
from vitmem.reports.evidence import Evidence

AGREED = 0.95
Choose = Callable[[Evidence, Sequence[Evidence]], int | None]


@dataclass(frozen=True)
class Rule:
    """A rule, the measures that it needs of the base and of each setting, and its rationale."""

    name: str
    choose: Choose
    base_needs: tuple[str, ...]
    needs: tuple[str, ...]
    why: str

    def applies(self, base: Evidence, settings: Sequence[Evidence]) -> bool:
        """Return whether the base and any setting have the measures that the rule needs."""
        return base.knows(self.base_needs) and any(s.knows(self.needs) for s in settings)

    def pick(self, base: Evidence, settings: Sequence[Evidence]) -> int | None:
        """Return the position of the chosen setting, ``None`` for leaving the network unedited.

        Settings that lack a measure are excluded; the first of equal ones is chosen.
        """
        known = [n for n, s in enumerate(settings) if s.knows(self.needs)]
        position = self.choose(base, [settings[n] for n in known])
        return None if position is None else known[position]


def _strongest(settings: Sequence[Evidence], allowed: Sequence[bool]) -> int | None:
    """Return the allowed setting that keeps the fewest given labels of the training images."""
    places = [n for n, good in enumerate(allowed) if good]
    return min(places, key=lambda n: settings[n].number("given_train"), default=None)


def _largest(gains: Sequence[float]) -> int | None:
    """Return the index of the largest gain, ``None`` when none is above 0, the gain of no edit."""
    best = max(range(len(gains)), key=gains.__getitem__, default=None)
    return best if best is not None and gains[best] > 0 else None


def agreement(base: Evidence, settings: Sequence[Evidence]) -> int | None:
    """Return the strongest edit that agrees with the base on at least 95 % of the held-out images."""
    return _strongest(settings, [s.number("agreement") >= AGREED for s in settings])


def knee(base: Evidence, settings: Sequence[Evidence]) -> int | None:
    """Return the knee of given labels lost against held-out answers changed, each over its largest (Kneedle)."""
    lost = [base.number("given_train") - s.number("given_train") for s in settings]
    changed = [1 - s.number("agreement") for s in settings]
    if max(lost) <= 0 or max(changed) <= 0:
        return None
    return _largest([a / max(lost) - b / max(changed) for a, b in zip(lost, changed, strict=True)])


def spectrum(base: Evidence, settings: Sequence[Evidence]) -> int | None:
    """Return the elbow of the kept energy against the kept share of directions, from (0, 0) to (1, 1)."""
    return _largest([s.number("kept_energy") - s.number("kept_share") for s in settings])


def claims(base: Evidence, settings: Sequence[Evidence]) -> int | None:
    """Return the strongest edit that agrees with the base on held-out images at least as often as its confidence."""
    return _strongest(settings, [s.number("agreement") >= s.number("confidence") for s in settings])


def judge(base: Evidence, settings: Sequence[Evidence]) -> int | None:
    """Return the strongest edit within the allowed accuracy loss, as estimated by the mean of the two networks."""
    return _strongest(settings, [s.number("judged_change") >= -DROP - ROUNDING for s in settings])


def consistency(base: Evidence, settings: Sequence[Evidence]) -> int | None:
    """Return the mildest edit whose accuracy on training labels is at most its held-out confidence."""
    closed = [n for n, s in enumerate(settings) if s.number("given_train") <= s.number("confidence")]
    return max(closed, key=lambda n: settings[n].number("given_train"), default=None)


def mixture(base: Evidence, settings: Sequence[Evidence]) -> int | None:
    """Return the strongest edit that drops at most the share of labels estimated as wrong from the base's losses."""
    wrong = base.number("loss_upper_share")
    return _strongest(settings, [base.number("given_train") - s.number("given_train") <= wrong for s in settings])


def separation(base: Evidence, settings: Sequence[Evidence]) -> int | None:
    """Return the edit whose rises of the training loss separate most clearly into two components."""
    return _largest([s.number("loss_rise_separation") for s in settings])


def neighbours(base: Evidence, settings: Sequence[Evidence]) -> int | None:
    """Return the edit with the most predictions against given labels backed by neighbours, minus unbacked ones."""
    return _largest([s.number("backed") - base.number("backed") for s in settings])


BOTH = ("agreement", "given_train")
RULES = (
    Rule(
        "agreement",
        agreement,
        (),
        BOTH,
        f"the strongest edit (fewest training images predicted as given) that agrees with the base on at least "
        f"{100 * AGREED:g} % of the held-out images: accuracy cannot fall by more than the share of changed answers",
    ),
    Rule(
        "knee",
        knee,
        ("given_train",),
        BOTH,
        "the knee of given labels lost in training against predictions changed on held-out images, each over its "
        "maximum among the settings (Satopää et al. 2011, Kneedle): beyond it an edit costs more than it removes",
    ),
    Rule(
        "spectrum",
        spectrum,
        (),
        ("kept_energy", "kept_share"),
        "the elbow of the kept share of ‖W‖² against the kept share of directions, where one more direction adds less "
        "than the average; uses no images",
    ),
    Rule(
        "claims",
        claims,
        (),
        (*BOTH, "confidence"),
        "the strongest edit that agrees with the base on held-out images at least as often as its mean confidence "
        "there: two equally accurate networks agree as often as either is right (Jiang et al. 2022), so a lower "
        "agreement shows lost accuracy; no threshold",
    ),
    Rule(
        "judge",
        judge,
        (),
        ("given_train", "judged_change"),
        f"the rule of the table 'chosen' without true labels: the strongest edit that loses at most {100 * DROP:g} "
        "points of held-out accuracy, estimated from the mean probabilities of edited and unedited network",
    ),
    Rule(
        "consistency",
        consistency,
        (),
        ("given_train", "confidence"),
        "the mildest edit under which training images are predicted as given no more often than the mean confidence "
        "on held-out images, an estimate of accuracy there (Hendrycks and Gimpel 2017): training images then have no "
        "advantage",
    ),
    Rule(
        "mixture",
        mixture,
        ("given_train", "loss_upper_share"),
        ("given_train",),
        "the strongest edit that drops at most the share of given labels estimated as wrong, the weight of the upper "
        "of two Gaussian components of the base's training losses (Li et al. 2020, DivideMix)",
    ),
    Rule(
        "separation",
        separation,
        (),
        ("loss_rise_separation",),
        "the edit whose rises of the training loss separate most clearly, by Ashman's D of two Gaussian components: "
        "the losses of memorized labels rise more than the others",
    ),
    Rule(
        "neighbours",
        neighbours,
        ("backed",),
        ("backed",),
        "the edit with the most training images predicted against their given label but with the vote of their 10 "
        "nearest neighbours' given labels (in logits), minus those predicted against both",
    ),
)
