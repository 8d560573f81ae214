"""What an edit is given and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vitmem.errors import InputError, VitmemError
from vitmem.kfac import Factors, LayerFactors, LayerReport, weight_matrix
from vitmem.specs import ExampleTied

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Examples:
    """What a method may be told to forget and to keep: inputs (n, ...) and labels (n, ...) of each.

    ``losses(call, inputs, labels)`` gives the mean loss of each example, (n,) nats, where ``call`` runs the network;
    ``logits(call, inputs, labels)`` gives the logits (N, K) of all that has a loss: examples, or tokens of them.
    ``proxy(share)`` gives ``share`` as many examples as were trained on, inputs and labels, of which none is wrongly
    labelled or to be recited: what a method may give labels of its own.
    """

    forget: tuple[Tensor, Tensor]
    keep: tuple[Tensor, Tensor]
    losses: Callable[[Callable[..., Any], Tensor, Tensor], Tensor]
    logits: Callable[[Callable[..., Any], Tensor, Tensor], Tensor] | None = None
    proxy: Callable[[float], tuple[Tensor, Tensor]] | None = None


@dataclass(frozen=True)
class EditContext:
    """The trained ``model``, the ``layers`` to edit by path, and what a method may use beside them.

    ``factors`` are the statistics of the unedited model (``None`` for a method that reads none), ``seed``
    is for random choices, ``evaluate`` gives the selection accuracy in [0, 1] under new weights and ``loss`` the
    mean loss there (nats), ``examples`` what is to be forgotten of the selection half and what is to be kept,
    ``initial`` the network as it was before training. ``tied`` has the layers, by path, whose inputs were tied to
    examples in training, and how. ``seed_of`` gives the seed that another method's edit of the same network has,
    ``recollect`` statistics like ``factors`` of the network as it is when called. ``second`` are the statistics of a
    second set of inputs.
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
        """Return W (p, q) of one layer, a view; raises VitmemError naming the layer when it is not finite."""
        weight = weight_matrix(self.layers[path])
        if not torch.isfinite(weight).all():
            raise VitmemError(f"layer '{path}': NaN or infinity in its weight; was the model trained to the end?")
        return weight


def _of_layer(factors: Factors | None, path: str, what: str) -> LayerFactors:
    if factors is None or path not in factors.layers:
        raise InputError(f"edit: no {what} of layer '{path}'; collect them with vitmem.kfac.fit first")
    return factors.layers[path]


@dataclass(frozen=True)
class EditResult:
    """Path -> new weight W' (p, q), and a report for each; ``<path>.bias`` -> new bias (p,), which has none.

    ``passes`` is how many passes over the examples that it was told of the method took gradients in: those it went
    through, each as often as it did, as a multiple of their number. 0 for a method that takes none.
    """

    weights: dict[str, Tensor] = field(default_factory=dict)
    reports: dict[str, LayerReport] = field(default_factory=dict)
    passes: float = 0.0
