"""The forget set and the retain set of a method, its proxy set, and passes over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Generator, Tensor

from vitmem.edits.base import EditContext, Examples
from vitmem.errors import InputError
from vitmem.specs import seed_from

Pair = tuple[Tensor, Tensor]


def forget_retain_sets(
    context: EditContext, method: str, discovery: float | None = None, *, keep_alone: bool = False
) -> Examples:
    """Return the forget and retain sets for ``method``; ``discovery`` subsamples the forget set (``None``: all of it).

    The sample is drawn with the edit's seed, and a larger share contains a smaller one. With ``keep_alone`` the forget
    set is empty. Raises InputError when a required set is empty.
    """
    if context.examples is None:
        raise InputError(f"edit: '{method}' needs examples to forget and to keep, and these data have none")
    examples = context.examples()
    inputs, labels = examples.forget
    share = 0.0 if keep_alone else 1.0 if discovery is None else discovery
    if share < 1:
        generator = Generator().manual_seed(seed_from(context.seed, "discovery"))
        rows = torch.randperm(len(inputs), generator=generator)[: round(share * len(inputs))].sort().values
        examples = replace(examples, forget=(inputs[rows], labels[rows]))
    if not keep_alone and not len(examples.forget[0]):
        some = f"the share {share:g} of the {len(inputs)} known ones rounds to none" if len(inputs) else "none is known"
        raise InputError(f"edit: '{method}' has no example to forget: {some}; leave the method out here")
    if not len(examples.keep[0]):
        raise InputError(f"edit: '{method}' has no example to keep: none is known; leave the method out here")
    return examples


def proxy_set(context: EditContext, method: str, share: float) -> tuple[Examples, Pair]:
    """Return the examples and a proxy of ``share`` times the training set's size, inputs and labels (n, ...).

    Raises InputError when the data have no proxy, or too few examples.
    """
    examples = context.examples() if context.examples is not None else None
    if examples is None or examples.proxy is None:
        raise InputError(f"edit: '{method}' needs a part of the training set, and these data have none")
    return examples, examples.proxy(share)


def logits_function(examples: Examples, method: str) -> Callable[[Callable[..., Any], Tensor, Tensor], Tensor]:
    """Return the function for the logits (N, K) of examples; raises InputError when the data only give losses."""
    if examples.logits is None:
        raise InputError(f"edit: '{method}' needs the logits of examples, and these data give only losses")
    return examples.logits


def take_rows(context: EditContext, pair: Pair, rows: Tensor) -> Pair:
    """Return inputs and labels (n, ...) of a set at ``rows`` (n,), on the network's device."""
    device = next(context.model.parameters()).device
    return pair[0][rows].to(device), pair[1][rows].to(device)


def batches(count: int, size: int, generator: Generator) -> Iterator[Tensor]:
    """Yield the rows (n,) of one pass over ``count`` examples in random order, ``size`` at a time."""
    yield from torch.randperm(count, generator=generator).split(size)


def cycle_batches(count: int, size: int, generator: Generator) -> Iterator[Tensor]:
    """Yield the rows (n,) of successive passes over ``count`` examples, without end."""
    while True:
        yield from batches(count, size, generator)
