"""Predict with the late blocks only: what lies below the first edited block is the same for every edit.

The input of that block is kept from one pass of the unedited network. Later passes skip the blocks
below it and continue from what was kept, so that a sweep over the last blocks costs their share of a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

# Memory that all kept inputs of one network may take; above it every pass is a full one.
BUDGET_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Tail:
    """The kept inputs of ``block``, a tensor (B, ...) a batch, and the blocks ``below`` it."""

    below: tuple[nn.Module, ...]
    block: nn.Module
    inputs: tuple[Tensor, ...]

    @property
    def nbytes(self) -> int:
        """Bytes that the kept inputs take."""
        return sum(x.nbytes for x in self.inputs)

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """Inside, a pass over the same batches in the same order starts at ``block``."""
        kept = iter(self.inputs)
        handle = self.block.register_forward_pre_hook(lambda _module, args: (next(kept), *args[1:]))
        for module in self.below:
            module.forward = _unchanged
        try:
            yield
        finally:
            handle.remove()
            for module in self.below:
                del module.forward


def _unchanged(x: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
    return x


def keep_tail(
    net: nn.Module,
    blocks: Sequence[str],
    first: int,
    run: Callable[[], Tensor],
    expected: Tensor,
    budget: int = BUDGET_BYTES,
) -> Tail | None:
    """Run the unedited network once and keep the inputs of ``blocks[first]``.

    ``run`` predicts all images, (N, K) logits, and ``expected`` is what it gave before. Returns
    ``None`` where the network cannot be entered in the middle: a pass from the kept inputs fails or
    does not give the same logits to the bit, or the inputs take more than ``budget`` bytes.
    """
    modules = [net.get_submodule(path) for path in blocks]
    inputs: list[Tensor] = []
    taken = 0

    def keep(_module: nn.Module, args: tuple[Any, ...]) -> None:
        nonlocal taken
        if not args or not isinstance(args[0], Tensor):
            raise _Unfit
        taken += args[0].nbytes
        if taken > budget:
            raise _Unfit
        inputs.append(args[0].detach().clone())

    handle = modules[first].register_forward_pre_hook(keep)
    try:
        run()
    except _Unfit:
        return None
    finally:
        handle.remove()
    tail = Tail(tuple(modules[:first]), modules[first], tuple(inputs))
    try:
        with tail.replayed():
            same = torch.equal(run(), expected)
    except (RuntimeError, ValueError, StopIteration):
        return None
    return tail if same else None


class _Unfit(Exception):
    """The block's input is not one tensor, or all of them are too large to keep."""
