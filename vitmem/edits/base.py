"""Input and output of an edit, and the base classes of the edits."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field

from vitmem import kfac as engine
from vitmem.entries import Edit
from vitmem.errors import InputError, VitmemError
from vitmem.lazy import torch
from vitmem.recipe import ExampleTied

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vitmem.kfac import Factors, LayerFactors, LayerReport, Pairs

Weights = Mapping[str, "Tensor"]
Share = Annotated[float | None, Field(gt=0, le=1)]


@dataclass(frozen=True)
class Examples:
    """The forget set and the retain set: inputs (n, ...) and labels (n, ...) of each.

    ``losses(call, inputs, labels)`` returns the mean loss of each example, (n,) nats, where ``call`` runs the network;
    ``logits(call, inputs, labels)`` returns the logits (N, K) of everything with a loss: examples or their tokens.
    ``proxy(share)`` returns inputs and labels of ``share`` times as many examples as the training set, none of them
    mislabelled or planted for recitation, which a method may relabel.
    """

    forget: tuple[Tensor, Tensor]
    keep: tuple[Tensor, Tensor]
    losses: Callable[[Callable[..., Any], Tensor, Tensor], Tensor]
    logits: Callable[[Callable[..., Any], Tensor, Tensor], Tensor] | None = None
    proxy: Callable[[float], tuple[Tensor, Tensor]] | None = None


@dataclass(frozen=True)
class EditContext:
    """The trained ``model``, the ``layers`` to edit by path, and the other inputs of a method.

    ``factors`` are the statistics of the unedited model (``None`` for a method that reads none) and ``second`` those of
    a second set of inputs; ``recollect`` collects statistics like ``factors`` from the network as it is when called.
    ``seed`` is for random choices; ``seed_of`` returns the seed of another method's edit of the same network.
    ``evaluate`` returns the selection accuracy in [0, 1] under new weights and ``loss`` the mean selection loss (nats).
    ``examples`` holds the forget set of the selection half and the retain set. ``initial`` is the network before
    training. ``tied`` maps the path of each layer trained with example-tied dropout to its settings.
    """

    model: nn.Module
    layers: Mapping[str, nn.Module]
    factors: Factors | None
    seed: int
    evaluate: Callable[[Weights], float] | None = None
    loss: Callable[[Weights], float] | None = None
    examples: Callable[[], Examples] | None = None
    initial: Callable[[], nn.Module] | None = None
    tied: Mapping[str, ExampleTied] = field(default_factory=dict)
    seed_of: Callable[[str], int] | None = None
    recollect: Callable[[], Factors] | None = None
    second: Factors | None = None

    def statistics(self, path: str) -> LayerFactors:
        """Return the statistics of one layer; raises InputError when there are none."""
        return _of_layer(self.factors, path, "statistics")

    def second_statistics(self, path: str) -> LayerFactors:
        """Return the statistics of one layer over the second set; raises InputError when there are none."""
        return _of_layer(self.second, path, "second statistics")

    def weight(self, path: str) -> Tensor:
        """Return a view of W (p, q) of one layer; raises VitmemError naming the layer when it is not finite."""
        weight = engine.weight_matrix(self.layers[path])
        if not torch.isfinite(weight).all():
            raise VitmemError(f"layer '{path}': NaN or infinity in its weight; was the model trained to the end?")
        return weight


def _of_layer(factors: Factors | None, path: str, what: str) -> LayerFactors:
    if factors is None or path not in factors.layers:
        raise InputError(f"edit: no {what} of layer '{path}'; collect them with vitmem.kfac.fit first")
    return factors.layers[path]


@dataclass(frozen=True)
class EditResult:
    """New weight W' (p, q) and report by path, and new bias (p,), without a report, by ``<path>.bias``.

    ``passes`` is the number of gradient passes over the retain and forget sets, in epochs; 0 for a method that takes
    no gradients.
    """

    weights: dict[str, Tensor] = field(default_factory=dict)
    reports: dict[str, LayerReport] = field(default_factory=dict)
    passes: float = 0.0


def each_layer(context: EditContext, change: Callable[[str, Tensor], tuple[Tensor, LayerReport]]) -> EditResult:
    """Apply ``change`` (path, W (p, q)) -> W' (p, q) and report to every layer of ``context``.

    Raises VitmemError naming a layer with a non-finite weight.
    """
    result = EditResult()
    for path in context.layers:
        result.weights[path], result.reports[path] = change(path, context.weight(path))
    return result


class Matching(Edit):
    """An edit whose strength can be matched to a loss on the selection half.

    ``match_drop``: the strongest edit that loses at most this much selection accuracy; ``match_loss``: the strongest
    edit that raises the selection loss by at most this many nats (0.05 is 5 % more perplexity).
    """

    match_drop: float | None = Field(default=None, ge=0, lt=1)
    match_loss: float | None = Field(default=None, ge=0)

    @property
    def matches(self) -> bool:
        """Whether the strength is searched."""
        return self.match_drop is not None or self.match_loss is not None

    def matched(self, context: EditContext, edit: Callable[[float], EditResult]) -> float:
        """Return the smallest share, 1 for no edit, at which ``edit`` stays within the allowed loss, by bisection.

        Raises InputError when there is no selection half, or the unedited model has no finite value on it.
        """
        by_loss = self.match_loss is not None
        name, measure = ("match_loss", context.loss) if by_loss else ("match_drop", context.evaluate)
        if measure is None:
            raise InputError(f"edit: '{name}' needs a selection half to measure on; give a share to keep instead")
        sign = -1 if by_loss else 1
        base = measure({})
        if not math.isfinite(base):
            raise InputError(
                f"edit: '{name}' measures {base:g} on the selection half before any edit: it is empty or the network "
                "is broken; take more validation images, or give a share to keep instead"
            )
        allowed = self.match_loss if by_loss else self.match_drop
        assert allowed is not None
        return engine.matched_fraction(lambda share: sign * measure(edit(share).weights), sign * base - allowed)


class ByStrength(Matching):
    """An edit of each matrix separately with one strength, given or matched."""

    exactly_one: ClassVar[tuple[str, ...]] = ("match_drop", "match_loss")

    @abstractmethod
    def change(self, path: str, weight: Tensor, context: EditContext, prepared: Any) -> tuple[Tensor, LayerReport]:
        """Return W' (p, q) for the ``weight`` W (p, q) of the layer ``path``, and its report."""

    def prepare(self, context: EditContext) -> Any:
        """Return what ``change`` needs at every strength, computed once."""

    def of_share(self, share: float) -> float:
        """Return the method's own strength for ``share`` in (0, 1], 1 for no edit."""
        return share

    def at(self, share: float) -> Self:
        """Return this edit with the strength for ``share`` in (0, 1], 1 for no edit."""
        return self.model_copy(update={**dict.fromkeys(self.exactly_one), self.exactly_one[0]: self.of_share(share)})

    def apply(self, context: EditContext, prepared: Any) -> EditResult:
        """Edit every layer of ``context`` at the given strength."""
        return each_layer(context, lambda path, weight: self.change(path, weight, context, prepared))

    def edit(self, context: EditContext) -> EditResult:
        """Edit at the given strength, or at the smallest share within the allowed loss.

        Raises VitmemError naming a layer with a non-finite weight.
        """
        prepared = self.prepare(context)
        if not self.matches:
            return self.apply(context, prepared)
        return self.at(self.matched(context, lambda share: self.at(share).apply(context, prepared))).apply(
            context, prepared
        )


class ByPairs(ByStrength):
    """An edit that keeps pairs of output and input directions.

    ``fraction``: this share of the pairs; ``mass``: the smallest set of pairs with this share of the importance.
    """

    exactly_one: ClassVar[tuple[str, ...]] = ("mass", "fraction", "match_drop", "match_loss")
    mass: Share = None
    fraction: Share = None

    def at(self, share: float) -> Self:
        """Return this edit with ``share`` of the pairs kept."""
        return self.model_copy(update={**dict.fromkeys(self.exactly_one), "fraction": share})

    def mask(self, pairs: Pairs) -> Tensor:
        """Return the mask (p, q) of the kept pairs."""
        if self.mass is not None:
            return pairs.by_mass(self.mass)
        assert self.fraction is not None
        return pairs.by_fraction(self.fraction)


def inverse_odds(share: float) -> float:
    """Return (1 - share) / share of a ``share`` in (0, 1]: 0 for no edit. Shares are searched in its logarithm."""
    return (1 - share) / share


class Forgetting(Edit):
    """An edit with a forget set and a retain set.

    ``discovery`` is the share of the known forget set that the method receives, sampled with the edit's seed (``None``:
    all of it).
    """

    uses = "retain + forget"
    discovery: Share = None


class FromTrusted(Edit):
    """An edit that uses only trusted examples, those of the retain set."""

    uses = "trusted"
