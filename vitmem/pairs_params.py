"""The parameters of the edits that keep pairs of directions, and how strong any edit is. No torch."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from vitmem.specs import Spec, Statistics

Share = Field(default=None, gt=0, le=1)


class StrengthParams(Spec):
    """How much of each matrix is kept: exactly one of ``rules``.

    ``match_drop``: as little as loses at most this much selection accuracy; ``match_loss``: as little as
    raises the loss of the selection half by at most so many nats (0.05 is 5 % more perplexity).
    """

    rules: ClassVar[tuple[str, ...]] = ("match_drop", "match_loss")
    match_drop: float | None = Field(default=None, ge=0, lt=1)
    match_loss: float | None = Field(default=None, ge=0)

    def model_post_init(self, _context: Any) -> None:
        """Refuse several rules, or none."""
        if sum(getattr(self, rule) is not None for rule in self.rules) != 1:
            *most, last = (f"'{rule}'" for rule in self.rules)
            raise ValueError(f"give exactly one of {', '.join(most)} and {last}")


class PairsParams(StrengthParams):
    """``mass``: the smallest set of pairs with this share of the importance; ``fraction``: this share of the pairs."""

    rules: ClassVar[tuple[str, ...]] = ("mass", "fraction", *StrengthParams.rules)
    mass: float | None = Share
    fraction: float | None = Share


class SidedParams(PairsParams):
    """Pairs of two bases; ``side`` reads the importance of both sides or of one only."""

    side: Literal["both", "A", "G"] = "both"


class KfacParams(PairsParams):
    """The curvature edit; ``side`` reads the importance of both factors or of one only."""

    importance: Literal["kfac", "centered", "ckfac", "tkfac", "foof", "identity", "ekfac"] = "kfac"
    side: Literal["both", "A", "G"] = "both"

    def model_post_init(self, context: Any) -> None:
        """Refuse the output side of an importance that has none."""
        super().model_post_init(context)
        if self.importance == "foof" and self.side == "G":
            raise ValueError("importance 'foof' reads the input side alone; give side 'both' or 'A'")


class KfacInputParams(PairsParams):
    """The curvature edit by the input side: a share of the input directions, or of their second moment, is kept.

    ``centered`` takes the mean of the inputs and, across it, the directions of their covariance.
    """

    centered: bool | None = None

    @field_validator("centered")
    @classmethod
    def name_once(cls, value: bool | None) -> bool | None:
        """Return ``None`` for what is off: the same edit has one id."""
        return value or None


class RandomBasisParams(KfacParams):
    """K-FAC's mask in random bases; ``random`` says which of the two is random, both if ``None``."""

    random: Literal["input", "output"] | None = None


class IteratedParams(KfacParams):
    """The curvature edit in ``rounds`` steps towards its strength, with statistics collected anew before each."""

    rounds: int = Field(default=4, ge=2)


class ProtectParams(PairsParams):
    """The curvature edit that keeps what two sets of inputs need; ``second`` says what the other one is.

    ``rule`` makes one of two: the ``span`` of the leading directions of both, the ``mixture`` with the ``share`` of
    the first set in it (``None``: a half), or the span with ``random`` directions in place of the second set's.
    """

    second: Statistics | None = None
    rule: Literal["span", "mixture", "random"] = "span"
    share: float | None = Field(default=None, gt=0, lt=1)
    side: Literal["A", "both"] = "A"

    def model_post_init(self, context: Any) -> None:
        """Refuse what one of the rules does not read, and a single set."""
        super().model_post_init(context)
        if self.second is None:
            raise ValueError("give 'second', whose statistics are kept too, such as {held_out: true} or {classes: [3]}")
        if self.rule != "mixture" and self.share is not None:
            raise ValueError(f"'share' is that of the first set in a mixture; leave it out of rule '{self.rule}'")
        if self.rule != "mixture" and self.side == "both":
            raise ValueError(f"rule '{self.rule}' knows the input side alone; give side 'A' or rule 'mixture'")
