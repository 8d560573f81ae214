"""The parameters of the built-in edit methods: what a suite may say of each, and within what bounds. No torch."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from vitmem.errors import InputError, VitmemError
from vitmem.pairs_params import Share, StrengthParams
from vitmem.registry import METHODS, nested
from vitmem.specs import Spec, canonical


class SvdParams(StrengthParams):
    """Truncation to the largest ``rank_fraction`` of the singular values of each matrix."""

    rules: ClassVar[tuple[str, ...]] = ("rank_fraction", *StrengthParams.rules)
    rank_fraction: float | None = Share


class MagnitudeParams(StrengthParams):
    """The ``fraction`` of the weights of each matrix that is kept."""

    rules: ClassVar[tuple[str, ...]] = ("fraction", *StrengthParams.rules)
    fraction: float | None = Share


class ForgetParams(Spec):
    """What a method is told of that forgets examples.

    ``discovery`` is the share of the known ones that it is told, drawn by the edit's seed (``None``: all of them).
    """

    discovery: float | None = Share


class BalancedSubnetParams(ForgetParams):
    """BalancedSubnet: the share of weights that is zeroed, and how the scores that choose them are trained.

    With ``match_drop`` or ``match_loss`` (see StrengthParams), ``ratio`` is what the scores are trained at only.
    """

    ratio: float = Field(gt=0, lt=1)
    weight: float = Field(default=0.7, gt=0, lt=1)
    epochs: int = Field(default=5, ge=0)
    lr: float = Field(default=0.3, gt=0)
    batch_size: int = Field(default=16, gt=0)
    cap: float | None = Field(default=None, gt=0)
    match_drop: float | None = Field(default=None, ge=0, lt=1)
    match_loss: float | None = Field(default=None, ge=0)

    def model_post_init(self, _context: Any) -> None:
        """Refuse two things to match."""
        if self.match_drop is not None and self.match_loss is not None:
            raise ValueError("give one of 'match_drop' and 'match_loss', not both")


class SvdRmtParams(StrengthParams):
    """The factor on the edge of the bulk of singular values that noise alone would have."""

    rules: ClassVar[tuple[str, ...]] = ("edge", *StrengthParams.rules)
    edge: float | None = Field(default=None, ge=0)


class SapParams(StrengthParams):
    """SAP's ``alpha``: the larger, the weaker the filter of the inputs."""

    rules: ClassVar[tuple[str, ...]] = ("alpha", *StrengthParams.rules)
    alpha: float | None = Field(default=None, ge=1)


class IsotropicNoiseParams(StrengthParams):
    """The norm of the noise that is added to each matrix, over the matrix's own."""

    rules: ClassVar[tuple[str, ...]] = ("relative_norm", *StrengthParams.rules)
    relative_norm: float | None = Field(default=None, ge=0)


class FactorParams(StrengthParams):
    """The ``factor`` that is left of every weight, or of its way from where training began."""

    rules: ClassVar[tuple[str, ...]] = ("factor", *StrengthParams.rules)
    factor: float | None = Share


class NegGradPlusParams(ForgetParams):
    """NegGrad+: ``alpha`` weighs what is kept, ``cap`` is the most that an example to forget counts for (nats)."""

    alpha: float = Field(default=0.95, gt=0, le=1)
    epochs: int = Field(default=5, gt=0)
    lr: float = Field(default=1e-4, gt=0)
    batch_size: int = Field(default=64, gt=0)
    cap: float | None = Field(default=None, gt=0)


class ScrubParams(ForgetParams):
    """SCRUB: ``alpha`` and ``gamma`` weigh divergence and loss on what is kept, ``tau`` is the temperature."""

    alpha: float = Field(default=0.001, ge=0)
    gamma: float = Field(default=0.99, ge=0)
    tau: float = Field(default=4.0, gt=0)
    ascent_epochs: int = Field(default=2, ge=0)
    epochs: int = Field(default=3, gt=0)
    lr: float = Field(default=5e-4, gt=0)
    batch_size: int = Field(default=128, gt=0)
    forget_batch_size: int = Field(default=32, gt=0)


class SsdParams(ForgetParams):
    """Selective synaptic dampening: ``alpha`` chooses weights, ``dampening`` is lambda; ``batch_size`` costs memory.

    ``alpha: adaptive`` is the kin that takes it from the importances.
    """

    alpha: Annotated[float, Field(gt=0)] | Literal["adaptive"] = 10.0
    dampening: float = Field(default=1.0, gt=0)
    batch_size: int = Field(default=8, gt=0)


class SalUnParams(ForgetParams):
    """SalUn: the ``ratio`` of the weights that is trained."""

    ratio: float = Field(default=0.5, gt=0, le=1)
    epochs: int = Field(default=10, gt=0)
    lr: float = Field(default=0.013, gt=0)
    batch_size: int = Field(default=256, gt=0)


class DeletionParams(ForgetParams):
    """DEL: the ``ratio`` of the weights, in whole output channels, that starts anew and is trained."""

    ratio: float = Field(default=0.3, gt=0, le=1)
    epochs: int = Field(default=30, gt=0)
    lr: float = Field(default=0.05, gt=0)
    batch_size: int = Field(default=128, gt=0)


class TaskVectorParams(StrengthParams):
    """CUTS: ``alpha`` times what training on the proxy does is taken back; how large the proxy is, and the training."""

    rules: ClassVar[tuple[str, ...]] = ("alpha", *StrengthParams.rules)
    alpha: float | None = Field(default=None, ge=0)
    proxy_share: float = Field(default=0.02, gt=0, lt=1)
    epochs: int = Field(default=60, gt=0)
    lr: float = Field(default=1e-4, gt=0)
    batch_size: int = Field(default=64, gt=0)


class HeadRefitParams(Spec):
    """``c``: how much the loss of the examples weighs against the size of the weights (scikit-learn's ``C``)."""

    c: float = Field(default=1.0, gt=0)


class FinetuneParams(Spec):
    """Training on trusted data, the learning rate falling to zero."""

    steps: int = Field(default=1000, gt=0)
    lr: float = Field(default=0.025, gt=0)
    batch_size: int = Field(default=512, gt=0)


def band_ends(band: str) -> tuple[float, float]:
    """Return where a band such as ``10-25`` begins and ends, as shares of all vectors; raises InputError for others."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", band)
    low, high = (float(found[1]), float(found[2])) if found else (0.0, 0.0)
    if not 0 <= low < high <= 100:
        raise InputError(f"band: expected 'low-high' in per cent, 0 <= low < high <= 100, such as 10-25, got '{band}'")
    return low / 100, high / 100


class BandRemovedParams(Spec):
    """The ``band`` that is removed, in per cent of the vectors from the largest eigenvalue down, and of which basis.

    ``kfac``: the eigenvectors of A; ``svd``: the right singular vectors of the weight itself, without statistics.
    """

    band: str
    basis: Literal["kfac", "svd"] = "kfac"

    @field_validator("band")
    @classmethod
    def check_band(cls, band: str) -> str:
        """Refuse what is no band; return it as it is written shortest: one band has one name."""
        try:
            low, high = band_ends(band)
        except InputError as error:
            raise ValueError(str(error).removeprefix("band: ")) from None
        return f"{100 * low:g}-{100 * high:g}"


class AfterParams(Spec):
    """What a method takes that is made after another edit: ``{method: ...}`` with the parameters of that edit."""

    after: dict[str, Any]

    @field_validator("after")
    @classmethod
    def resolve_after(cls, after: dict[str, Any]) -> dict[str, Any]:
        """Fill in the defaults of the inner edit; refuse an unknown method or parameter."""
        if not isinstance(after.get("method"), str):
            raise ValueError(f"expected an edit such as {{method: kfac, fraction: 0.01}}, got {after}")
        own = {key: value for key, value in after.items() if key != "method"}
        try:
            params = METHODS.get(after["method"]).parse(own, "after")
        except VitmemError as error:
            raise ValueError(str(error)) from None
        resolved: dict[str, Any] = {"method": after["method"], **canonical(params)}
        if len(list(nested(resolved))) > 1:
            raise ValueError(f"expected an edit that comes after no other one, got method '{after['method']}'")
        return resolved


class DialParams(AfterParams):
    """What another edit leaves, with the share ``turn`` of what it removed put back: 0 is the edit, 1 undoes it."""

    turn: float = Field(default=0.5, ge=0, le=1)


class RelearnParams(AfterParams):
    """Training on after another edit: ``after`` is that edit, ``{method: ...}`` with its own parameters.

    It edits the same ``blocks`` and ``layers`` and reads the same statistics. ``train_on: given`` trains on the
    examples to keep and on the known ones to forget with their given labels, of ``classes`` alone if there are any
    named, ``train_on: right`` on the examples to keep alone.
    """

    steps: int = Field(default=100, gt=0)
    lr: float = Field(default=0.025, gt=0)
    batch_size: int = Field(default=128, gt=0)
    train_on: Literal["given", "right"] = "given"
    classes: tuple[int, ...] | None = Field(default=None, min_length=1)

    def model_post_init(self, _context: Any) -> None:
        """Refuse classes of examples that are not put back."""
        if self.train_on == "right" and self.classes is not None:
            raise ValueError(
                "'classes' says which examples to forget are put back, and 'train_on: right' puts none back"
            )
