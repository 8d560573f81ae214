"""How much is kept: the three rules that the edits over pairs share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from vitmem.errors import InputError
from vitmem.kfac import Pairs, matched_fraction, staircase_by_fraction, staircase_by_mass
from vitmem.methods.base import EditContext, EditResult


@dataclass(frozen=True)
class Strength:
    """Exactly one of: a share of the importance, a share of the pairs, a largest loss of selection accuracy."""

    mass: float | None = None
    fraction: float | None = None
    match_drop: float | None = None

    def __post_init__(self) -> None:
        """Refuse several rules, or none."""
        if sum(v is not None for v in (self.mass, self.fraction, self.match_drop)) != 1:
            raise InputError("edit: give exactly one of 'mass', 'fraction' and 'match_drop'")

    def staircase(self, pairs: Pairs) -> Tensor:
        """Return J (p,), the columns that each row keeps."""
        if self.mass is not None:
            return staircase_by_mass(pairs.rows, pairs.columns, self.mass)
        assert self.fraction is not None
        return staircase_by_fraction(pairs.rows, pairs.columns, self.fraction)


def applied(strength: Strength, context: EditContext, edit: Callable[[Strength], EditResult]) -> EditResult:
    """Return ``edit`` at ``strength``; for ``match_drop`` at the smallest fraction that loses no more than that."""
    if strength.match_drop is None:
        return edit(strength)
    evaluate = context.evaluate
    if evaluate is None:
        raise InputError("edit: 'match_drop' needs images to select on; give 'mass' or 'fraction' instead")
    floor = evaluate({}) - strength.match_drop
    found = matched_fraction(lambda fraction: evaluate(edit(Strength(fraction=fraction)).weights), floor)
    return edit(Strength(fraction=found))
