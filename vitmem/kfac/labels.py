"""The backward passes of one batch: which cotangent of the logits each of them sends down.

Random numbers are drawn a row of the logits at a time from a generator on the CPU, so that the same
examples get the same labels whatever the batch size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Generator, Tensor

from vitmem.errors import InputError

LabelMode = Literal["sampled", "given", "exact", "logit_jacobian"]
IGNORED = -100


def cotangents(logits: Tensor, given: Tensor, mode: LabelMode, samples: int, generator: Generator) -> Iterator[Tensor]:
    """Yield the gradient of the summed loss with respect to ``logits`` (N, K), one for each backward pass.

    A row whose given label (N,) is -100 has no loss and no gradient.
    ``sampled``: labels from the model's own softmax, ``samples`` passes (true Fisher). ``given``: the
    labels that are given (empirical Fisher). ``exact``: K passes whose sum of squares is the
    expectation over all labels. ``logit_jacobian``: random signs on centred logits (Gauss-Newton of a
    squared loss), ``samples`` passes.
    """
    if len(given) != len(logits):
        raise InputError(f"labels: expected {len(logits)} given labels, one a row of the logits, got {len(given)}")
    kept = given != IGNORED
    for cotangent in _all_rows(logits.detach(), given, kept, mode, samples, generator):
        yield (cotangent * kept[:, None]).to(logits.dtype)


def _all_rows(
    logits: Tensor, given: Tensor, kept: Tensor, mode: LabelMode, samples: int, generator: Generator
) -> Iterator[Tensor]:
    """Yield the cotangents (N, K) float64 of all rows, those that are not kept included."""
    count, classes = logits.shape
    probabilities = logits.double().softmax(1)  # (N, K)
    if mode == "given":
        gradient = probabilities.clone()
        gradient[kept, given[kept]] -= 1
        yield gradient
    elif mode == "exact":
        for k in range(classes):
            gradient = probabilities.clone()
            gradient[:, k] -= 1
            yield gradient * probabilities[:, k : k + 1].sqrt()
    elif mode == "sampled":
        uniform = torch.rand(count, samples, generator=generator, dtype=torch.float64).to(logits.device)
        cumulative = probabilities.cumsum(1)
        for s in range(samples):
            labels = (cumulative < uniform[:, s : s + 1] * cumulative[:, -1:]).sum(1, keepdim=True)
            yield probabilities - torch.zeros_like(probabilities).scatter_(1, labels, 1.0)
    else:
        signs = torch.rand(count, samples, classes, generator=generator, dtype=torch.float64).to(logits.device)
        for s in range(samples):
            cotangent = (signs[:, s] < 0.5).double() * 2 - 1
            yield cotangent - cotangent.mean(1, keepdim=True)


def passes(mode: LabelMode, samples: int) -> int:
    """Return over how many backward passes the products of gradients are averaged (``exact`` sums them)."""
    return samples if mode in ("sampled", "logit_jacobian") else 1
