"""Training of the edited weights on the forget and retain sets, shared by all methods with gradient steps.

Only the weights of the given layers are trained: no bias, norm, embedding or head. The network stays in evaluation
mode, without dropout.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call

from vitmem.edits.base import EditContext, EditResult, Examples
from vitmem.edits.training.examples import Pair, take_rows
from vitmem.errors import VitmemError
from vitmem.kfac import weight_matrix
from vitmem.kfac.edit import replaced
from vitmem.kfac.layers import eval_mode, matrix_of

MOMENTUM, DECAY = 0.9, 5e-4  # of SGD, as published for most of the methods


def layer_weight(layer: nn.Module) -> Tensor:
    """Return the weight in the layer's own layout, (p, q), or (q, p) for a Conv1D."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight.detach()


def uniform(shape: torch.Size, inputs: int, generator: Generator) -> Tensor:
    """Draw a weight of ``shape`` (p, q) uniformly within ±1/√inputs, like that of a new linear layer."""
    bound = 1 / math.sqrt(inputs)
    return torch.rand(shape, generator=generator) * 2 * bound - bound


def functional_model(model: nn.Module, weights: Mapping[str, Tensor]) -> Callable[..., Any]:
    """Return a function that runs ``model`` with ``weights`` by path, each in its layer's layout, (p, q) or (q, p).

    Gradients reach only these weights.
    """
    named = {name: parameter.detach() for name, parameter in model.named_parameters()}
    named |= {f"{path}.weight": value.to(named[f"{path}.weight"].dtype) for path, value in weights.items()}

    def call(*args: Any, **kwargs: Any) -> Any:
        with eval_mode(model):
            return functional_call(model, named, args, kwargs)

    return call


class EditTrainer:
    """The weights of one edit during training: ``weights`` by path, (p, q), or (q, p) in such a layer's layout.

    They have at least float32 precision: the steps of a bfloat16 model would be lost in rounding. ``trainable_mask``
    has masks of the same shapes: after each step every weight outside is reset to the model's, bit for bit.
    ``generator`` is seeded with the edit's seed. The optimizer is SGD, or AdamW with ``adam``.
    """

    def __init__(
        self,
        context: EditContext,
        method: str,
        examples: Examples,
        *,
        lr: float,
        decay: float = DECAY,
        adam: bool = False,
    ) -> None:
        self.context, self.method, self.examples = context, method, examples
        self.generator = Generator().manual_seed(context.seed)
        self.weights = {path: trainable(layer) for path, layer in context.layers.items()}
        self.trainable_mask: Mapping[str, Tensor] = {}
        self.examples_processed = 0
        parameters = list(self.weights.values())
        self._optimizer: torch.optim.Optimizer = (
            torch.optim.AdamW(parameters, lr=lr, weight_decay=decay)
            if adam
            else torch.optim.SGD(parameters, lr=lr, momentum=MOMENTUM, weight_decay=decay)
        )

    def at(self, pair: Pair, rows: Tensor) -> Pair:
        """Return inputs and labels (n, ...) of a set at ``rows`` (n,), on the network's device."""
        return take_rows(self.context, pair, rows)

    def losses(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Return the losses (n,) of examples (n, ...)."""
        return self.examples.losses(self.forward_once(len(inputs)), inputs, labels)

    def forward_once(self, count: int) -> Callable[..., Any]:
        """Return a function that runs the network with the current weights, once, on ``count`` examples.

        Further calls return the same outputs, so that losses and logits cost one pass.
        """
        self.examples_processed += count
        return functools.cache(functional_model(self.context.model, self.weights))

    def gradient(self, pair: Pair, size: int) -> dict[str, Tensor]:
        """Return by path the gradient, (p, q) or (q, p), of the loss over a whole set, ``size`` examples at a time."""
        total = {path: torch.zeros_like(weight) for path, weight in self.weights.items()}
        for rows in torch.arange(len(pair[0])).split(size):
            losses = self.losses(*self.at(pair, rows))
            gradients = torch.autograd.grad(losses.sum(), list(self.weights.values()))
            for value, more in zip(total.values(), gradients, strict=True):
                value += more
        check_finite(self.method, total)
        return total

    def step(self, loss: Tensor, lr: float | None = None) -> None:
        """Take a step on ``loss``, scalar, setting the rate to ``lr``; raises VitmemError when it is not finite."""
        if not torch.isfinite(loss):
            raise VitmemError(f"{self.method}: the loss is not finite; lower lr")
        if lr is not None:
            self._optimizer.param_groups[0]["lr"] = lr
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        with torch.no_grad():
            for path, mask in self.trainable_mask.items():
                weight = self.weights[path]
                weight.copy_(torch.where(mask, weight, layer_weight(self.context.layers[path])))

    def reinitialise(self) -> None:
        """Re-initialise the weights uniformly within ±1/√inputs, like those of a new linear layer."""
        with torch.no_grad():
            for path, weight in self.weights.items():
                inputs = weight_matrix(self.context.layers[path]).shape[1]
                fresh = uniform(weight.shape, inputs, self.generator).to(weight)
                weight.copy_(
                    torch.where(self.trainable_mask[path], fresh, weight) if path in self.trainable_mask else fresh
                )

    def result(self) -> EditResult:
        """Return the current weights."""
        count = len(self.examples.forget[0]) + len(self.examples.keep[0])
        return make_result(self.context, self.method, self.weights, self.examples_processed / count)


def check_finite(method: str, gradients: Mapping[str, Tensor]) -> None:
    """Raise VitmemError naming the method and the layer when a gradient (p, q) or (q, p) is not finite."""
    for path, value in gradients.items():
        if not torch.isfinite(value).all():
            raise VitmemError(f"{method}: NaN or infinity in the gradient of layer '{path}'")


def trainable(layer: nn.Module) -> Tensor:
    """Return a copy of the weight in the layer's layout, (p, q) or (q, p), at least float32, requiring gradients."""
    weight = layer_weight(layer)
    return weight.to(torch.promote_types(weight.dtype, torch.float32), copy=True).requires_grad_()


def make_result(context: EditContext, method: str, weights: Mapping[str, Tensor], passes: float) -> EditResult:
    """Return ``weights`` by path, each in its layer's layout, (p, q) or (q, p), with reports of the unchanged entries.

    Raises VitmemError naming the method and the layer for NaN or infinity.
    """
    result = EditResult(passes=passes)
    for path, layer in context.layers.items():
        old, new = layer_weight(layer), weights[path].detach().to(layer_weight(layer).dtype)
        if not torch.isfinite(new).all():
            raise VitmemError(f"{method}: NaN or infinity in the new weight of layer '{path}'; lower lr")
        same, squares = new == old, old.double().square()
        energy = float(squares[same].sum() / squares.sum()) if old.any() else 1.0
        result.weights[path] = matrix_of(layer, new).contiguous()
        result.reports[path] = replaced(
            weight_matrix(layer), result.weights[path], int(same.sum()), same.numel(), energy
        )
    return result
