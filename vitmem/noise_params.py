"""The parameters of the built-in noise models: what a suite may say of each, and within what bounds. No torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from vitmem.contents import File
from vitmem.specs import Spec


class RateParams(Spec):
    """Nominal share of wrong labels."""

    rate: float = Field(ge=0, le=1)


def _off_is_absent(value: Any) -> Any:
    """Turn ``False`` into ``None``, which an id leaves out: off has one spelling there."""
    return None if value is False else value


class StratifiedParams(RateParams):
    """``stratified`` makes the number of chosen images exact in every class, not only over all of them."""

    stratified: Annotated[bool | None, BeforeValidator(_off_is_absent)] = None


class AsymmetricParams(RateParams):
    """``rate_basis`` says whether ``rate`` counts in each source class or over all images."""

    rate_basis: Literal["class", "overall"] = "class"


class InterclassParams(RateParams):
    """``rate`` counts in each of two ``classes`` (numbers); ``None`` is the data set's usual pair."""

    classes: tuple[int, int] | None = None


class TransitionParams(Spec):
    """A row-stochastic matrix K x K: rows in place, or a file inside the data folder or anywhere."""

    matrix: tuple[tuple[float, ...], ...] | None = None
    file: File | None = None

    def model_post_init(self, _context: Any) -> None:
        """Refuse both, or none."""
        if (self.matrix is None) == (self.file is None):
            raise ValueError("give exactly one of 'matrix' and 'file'")


class InstanceParams(Spec):
    """``rate`` is the mean flip rate, or ``tau`` the literature's nominal one; ``sigma`` spreads the flip rates."""

    rate: float | None = Field(default=None, ge=0, le=1)
    tau: float | None = Field(default=None, ge=0, le=1)
    sigma: float = Field(default=0.1, gt=0, le=1)
    projection: Literal["class", "shared"] = "class"

    def model_post_init(self, _context: Any) -> None:
        """Refuse both rates, or none."""
        if (self.rate is None) == (self.tau is None):
            raise ValueError("give exactly one of 'rate' and 'tau'")


class ProbabilitiesParams(RateParams):
    """``probabilities`` is a safetensors file of class probabilities, inside the data folder or anywhere."""

    probabilities: File


class PmdParams(ProbabilitiesParams):
    """``type`` is the paper's I, II or III: how the flip probability falls with the margin."""

    type: Literal[1, 2, 3] = 1


class PmdLegacyParams(Spec):
    """``factor`` is what the code divides the probability of the likeliest class by."""

    factor: float = Field(ge=1)
    probabilities: File
    type: Literal[1, 2, 3] = 1


class HumanParams(Spec):
    """A column of human labels that came with the data set (CIFAR-10N: ``aggre_label``, ...)."""

    column: str


class HumanMixtureParams(RateParams):
    """The ``rate`` to which the errors of a column of human labels are thinned out."""

    column: str


class ColumnParams(Spec):
    """A column of further labels that came with the data set (Imagenette: ``noisy_5``, ...)."""

    column: str
