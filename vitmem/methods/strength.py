"""How much is kept: by a share, or by what the edited network may lose."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from vitmem.errors import InputError
from vitmem.kfac import Pairs, matched_fraction
from vitmem.methods.base import EditContext, EditResult, Weights


@dataclass(frozen=True)
class Match:
    """A largest loss of selection accuracy, or a largest rise of the loss on the selection half (nats)."""

    drop: float | None = None
    loss: float | None = None

    def score(self, context: EditContext) -> Callable[[Weights], float]:
        """Return what must not fall by more than ``allowed``; raises InputError when there is nothing to select on."""
        name, measure = ("match_drop", context.evaluate) if self.loss is None else ("match_loss", context.loss)
        if measure is None:
            raise InputError(f"edit: '{name}' needs a selection half to measure on; give a share to keep instead")
        sign = 1 if self.loss is None else -1
        return lambda weights: sign * measure(weights)

    def floor(self, score: Callable[[Weights], float]) -> float:
        """Return the least that ``score`` may fall to; raises InputError when it is no number without an edit."""
        base = score({})
        if not math.isfinite(base):
            name = "match_drop" if self.loss is None else "match_loss"
            raise InputError(
                f"edit: '{name}' measures {base:g} on the selection half before any edit: it is empty or the network "
                "is broken; take more validation images, or give a share to keep instead"
            )
        return base - next(value for value in (self.loss, self.drop) if value is not None)


@dataclass(frozen=True)
class Strength:
    """Exactly one of: a share of the importance or of the components, a method's own measure, something to match."""

    mass: float | None = None
    fraction: float | None = None
    match_drop: float | None = None
    match_loss: float | None = None
    own: float | None = None

    def __post_init__(self) -> None:
        """Refuse several rules, or none."""
        if sum(v is not None for v in (self.mass, self.fraction, self.own, self.match_drop, self.match_loss)) != 1:
            raise InputError("edit: give exactly one of a mass, a fraction, a strength, 'match_drop' and 'match_loss'")

    @property
    def match(self) -> Match | None:
        """What is to be matched, if anything."""
        if self.match_drop is None and self.match_loss is None:
            return None
        return Match(self.match_drop, self.match_loss)

    def value(self, of_share: Callable[[float], float]) -> float:
        """Return the strength in the method's own measure; ``of_share`` makes it of a share, 1 for no edit."""
        if self.own is not None:
            return self.own
        assert self.fraction is not None
        return of_share(self.fraction)

    def mask(self, pairs: Pairs) -> Tensor:
        """Return the mask (p, q) of the pairs that are kept."""
        if self.mass is not None:
            return pairs.by_mass(self.mass)
        assert self.fraction is not None
        return pairs.by_fraction(self.fraction)


def applied(strength: Strength, context: EditContext, edit: Callable[[Strength], EditResult]) -> EditResult:
    """Return ``edit`` at ``strength``; to match something, at the smallest fraction that loses no more than allowed."""
    match = strength.match
    if match is None:
        return edit(strength)
    score = match.score(context)
    floor = match.floor(score)
    found = matched_fraction(lambda fraction: score(edit(Strength(fraction=fraction)).weights), floor)
    return edit(Strength(fraction=found))


def odds_against(share: float) -> float:
    """Return (1 - share) / share of a ``share`` in (0, 1], in whose logarithm shares are searched: 0 for no edit."""
    return (1 - share) / share
