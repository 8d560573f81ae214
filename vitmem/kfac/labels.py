"""The backward passes of one batch: the cotangent of the logits in each of them.

Random numbers are drawn per row of the logits from a generator on the CPU, so that the same examples get the same
labels at any batch size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from vitmem.errors import InputError
from vitmem.kfac.capture import wide

LabelMode = Literal["sampled", "given", "exact", "logit_jacobian"]
# (logits (n, K) of the rows of a slice, the slice) -> gradient of the loss with respect to them, (n, K)
Cotangent = Callable[[Tensor, slice], Tensor]
IGNORED = -100
# Number of classes per block; a label is sampled first by block, then within it.
BLOCK = 512


@dataclass(frozen=True)
class Elsewhere:
    """A batch of ``losses`` terms that another rank reads: its random numbers are drawn here too, and left."""

    losses: int

    def skip(self, classes: int, mode: LabelMode, samples: int, generator: Generator) -> None:
        """Advance ``generator`` as ``cotangents`` of the batch would."""
        next(_all_rows(torch.zeros(self.losses), classes, mode, samples, generator), None)


def cotangents(given: Tensor, classes: int, mode: LabelMode, samples: int, generator: Generator) -> Iterator[Cotangent]:
    """Yield, for each backward pass, the function for the gradient of the summed loss with respect to logits (n, K).

    A row with given label (N,) -100 has no loss and no gradient. ``sampled``: labels from the model's own softmax,
    ``samples`` passes (true Fisher). ``given``: the given labels (empirical Fisher). ``exact``: K passes whose sum of
    squares is the expectation over all labels. ``logit_jacobian``: random signs on centred logits (Gauss-Newton of a
    squared loss), ``samples`` passes.
    """
    kept = given != IGNORED  # (N,)
    for one in _all_rows(given, classes, mode, samples, generator):
        # the default argument binds this pass: the generator may advance before the function is called
        def cotangent(logits: Tensor, rows: slice, one: Cotangent = one) -> Tensor:
            some = kept[rows]
            if len(some) != len(logits):
                raise InputError(f"labels: expected a given label for each row of the logits, got {len(given)}")
            return (one(logits.detach(), rows) * some[:, None]).to(logits.dtype)

        yield cotangent


def _all_rows(given: Tensor, classes: int, mode: LabelMode, samples: int, generator: Generator) -> Iterator[Cotangent]:
    """Yield the cotangents as if every row had a label."""
    count = len(given)
    if mode == "given":
        yield lambda logits, rows: _less_one(*_softmax(logits), given[rows].clamp_min(0))
    elif mode == "exact":
        for k in range(classes):

            def expected(logits: Tensor, rows: slice, k: int = k) -> Tensor:
                probabilities, sums = _softmax(logits)
                weight = probabilities[:, k : k + 1].sqrt()
                return _less_one(probabilities, sums, torch.full((len(logits),), k, device=logits.device)) * weight

            yield expected
    elif mode == "sampled":
        uniform = torch.rand(count, samples, generator=generator, dtype=torch.float64).to(given.device)
        for s in range(samples):

            def sampled(logits: Tensor, rows: slice, s: int = s) -> Tensor:
                probabilities, sums = _softmax(logits)
                return _less_one(probabilities, sums, _drawn(probabilities, sums, uniform[rows, s]))

            yield sampled
    else:
        signs = _signs(count, samples, classes, generator).to(given.device)
        for s in range(samples):

            def centred(logits: Tensor, rows: slice, s: int = s) -> Tensor:
                cotangent = signs[rows, s].double()
                return cotangent - cotangent.mean(1, keepdim=True)

            yield centred


def _signs(count: int, samples: int, classes: int, generator: Generator) -> Tensor:
    """Draw fair signs (count, samples, classes), int8; float64 random numbers exist for one row at a time."""
    out = torch.empty(count, samples, classes, dtype=torch.int8)
    for row in out:
        row.copy_((torch.rand(samples, classes, generator=generator, dtype=torch.float64) < 0.5) * 2 - 1)
    return out


def _softmax(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return probabilities (n, K), float32 or the logits' float64, and their sums by block (n, B), float64.

    With a large vocabulary, float64 throughout would cost as much as the network.
    """
    probabilities = wide(logits).softmax(1)  # (n, K)
    blocks = probabilities.split(BLOCK, 1)
    return probabilities, torch.stack([block.sum(1, dtype=torch.float64) for block in blocks], 1)


def _drawn(probabilities: Tensor, sums: Tensor, uniform: Tensor) -> Tensor:
    """Return the class (n,) where the cumulative sum of ``probabilities`` (n, K) reaches the share ``uniform`` (n,).

    The block is found first, by its sum (n, B), then the class in it.
    """
    running = sums.cumsum(1)  # (n, B)
    level = uniform[:, None] * running[:, -1:]  # (n, 1)
    block = (running < level).sum(1, keepdim=True)
    before = (running - sums).gather(1, block)
    first = block * BLOCK
    places = first + torch.arange(BLOCK, device=first.device)  # (n, BLOCK)
    last = probabilities.shape[1] - 1
    inside = probabilities.gather(1, places.clamp_max(last)).double() * (places <= last)
    return (first[:, 0] + (before + inside.cumsum(1) < level).sum(1)).clamp_max(last)


def _less_one(probabilities: Tensor, sums: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of the cross-entropy: probabilities (n, K) minus one at the labels (n,), in place.

    The entry at the label is computed as minus the sum of the others, to avoid cancellation at high confidence.
    """
    at = labels[:, None]
    total = sums.sum(1, keepdim=True)
    others = (total - probabilities.gather(1, at).double()) / total
    return probabilities.scatter_(1, at, -others.to(probabilities.dtype))


def passes(mode: LabelMode, samples: int) -> int:
    """Return the number of backward passes to average products of gradients over (``exact`` sums them)."""
    return samples if mode in ("sampled", "logit_jacobian") else 1
