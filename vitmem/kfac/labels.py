"""The backward passes of one batch: which cotangent of the logits each of them sends down.

Random numbers are drawn a row of the logits at a time from a generator on the CPU, so that the same
examples get the same labels whatever the batch size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Generator, Tensor

from vitmem.errors import InputError

LabelMode = Literal["sampled", "given", "exact", "logit_jacobian"]
# (logits (n, K) of the rows of a slice, the slice) -> gradient of the loss with respect to them, (n, K)
Cotangent = Callable[[Tensor, slice], Tensor]
IGNORED = -100


def cotangents(given: Tensor, classes: int, mode: LabelMode, samples: int, generator: Generator) -> Iterator[Cotangent]:
    """Yield, for each backward pass, what gives the gradient of the summed loss with respect to logits (n, K).

    A row whose given label (N,) is -100 has no loss and no gradient. ``sampled``: labels from the model's
    own softmax, ``samples`` passes (true Fisher). ``given``: the labels that are given (empirical Fisher).
    ``exact``: K passes whose sum of squares is the expectation over all labels. ``logit_jacobian``: random
    signs on centred logits (Gauss-Newton of a squared loss), ``samples`` passes.
    """
    kept = given != IGNORED  # (N,)
    for one in _all_rows(given, classes, mode, samples, generator):
        # the default binds this pass: the generator may have gone on when the function is called
        def cotangent(logits: Tensor, rows: slice, one: Cotangent = one) -> Tensor:
            some = kept[rows]
            if len(some) != len(logits):
                raise InputError(f"labels: expected a given label for each row of the logits, got {len(given)}")
            return (one(logits.detach(), rows) * some[:, None]).to(logits.dtype)

        yield cotangent


def _all_rows(given: Tensor, classes: int, mode: LabelMode, samples: int, generator: Generator) -> Iterator[Cotangent]:
    """Yield the cotangents, in float64, as if every row were kept."""
    count = len(given)
    if mode == "given":
        yield lambda logits, rows: _minus_one(_softmax(logits), given[rows].clamp_min(0))
    elif mode == "exact":
        for k in range(classes):

            def expected(logits: Tensor, rows: slice, k: int = k) -> Tensor:
                probabilities = _softmax(logits)
                weight = probabilities[:, k : k + 1].sqrt()
                return _minus_one(probabilities, torch.full((len(logits),), k, device=logits.device)) * weight

            yield expected
    elif mode == "sampled":
        uniform = torch.rand(count, samples, generator=generator, dtype=torch.float64).to(given.device)
        for s in range(samples):

            def sampled(logits: Tensor, rows: slice, s: int = s) -> Tensor:
                probabilities = _softmax(logits)
                cumulative = probabilities.cumsum(1)
                labels = (cumulative < uniform[rows, s : s + 1] * cumulative[:, -1:]).sum(1)
                return _minus_one(probabilities, labels)

            yield sampled
    else:
        signs = _signs(count, samples, classes, generator).to(given.device)
        for s in range(samples):

            def centred(logits: Tensor, rows: slice, s: int = s) -> Tensor:
                cotangent = signs[rows, s].double()
                return cotangent - cotangent.mean(1, keepdim=True)

            yield centred


def _signs(count: int, samples: int, classes: int, generator: Generator) -> Tensor:
    """Draw fair signs (count, samples, classes), int8; the random numbers of a row at a time are held in float64."""
    out = torch.empty(count, samples, classes, dtype=torch.int8)
    for row in out:
        row.copy_((torch.rand(samples, classes, generator=generator, dtype=torch.float64) < 0.5) * 2 - 1)
    return out


def _softmax(logits: Tensor) -> Tensor:
    return logits.double().softmax(1)  # (n, K)


def _minus_one(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of the cross-entropy: probabilities (n, K) less one at the labels (n,), in place."""
    return probabilities.scatter_add_(1, labels[:, None], -torch.ones_like(labels[:, None], dtype=torch.float64))


def passes(mode: LabelMode, samples: int) -> int:
    """Return over how many backward passes the products of gradients are averaged (``exact`` sums them)."""
    return samples if mode in ("sampled", "logit_jacobian") else 1
