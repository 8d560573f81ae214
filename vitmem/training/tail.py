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

# Memory that all kept inputs of one network may take.
BUDGET_BYTES = 2 * 1024**3
Run = Callable[[], Tensor]


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
        before = [vars(module).get("forward") for module in self.below]
        for module in self.below:
            module.forward = _unchanged
        try:
            yield
        finally:
            handle.remove()
            for module, own in zip(self.below, before, strict=True):
                del module.forward
                if own is not None:  # somebody else had replaced it for this module alone
                    module.forward = own


def _unchanged(x: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
    return x


class Tails:
    """The tails of one network, which is the same at every call but for edits at or above the block that is named.

    Together they take at most ``budget`` bytes: the least recently used make room for a new one.
    """

    def __init__(self, net: nn.Module, blocks: Sequence[str], budget: int = BUDGET_BYTES) -> None:
        self._net, self._budget = net, budget
        self._modules = [net.get_submodule(path) for path in blocks]
        self._kept: dict[tuple[int, str], Tail | None] = {}

    def entered(self, first: int, images: str, run: Run) -> Tail | None:
        """Return the tail that starts at block ``first`` for what ``run`` predicts, logits (N, K), named ``images``.

        It is made by two passes of the network, which must be unedited, when it is asked for and not there.
        Returns ``None`` where the network cannot be entered in the middle, which is remembered: the block is not
        called once a batch with a tensor in the first place, a pass from the kept inputs fails or does not give
        the same logits to the bit, or the inputs alone take more than the budget. Then every pass is a full one.
        """
        key = first, images
        if key not in self._kept:
            self._kept[key] = self._make(first, run)
        self._kept[key] = self._kept.pop(key)  # the last one is the most recently used
        return self._kept[key]

    def _make(self, first: int, run: Run) -> Tail | None:
        try:
            inputs, expected = self._inputs(first, run)
            tail = Tail(tuple(self._modules[:first]), self._modules[first], inputs)
            with tail.replayed():
                return tail if torch.equal(run(), expected) else None
        except (_UnfitError, RuntimeError, TypeError, ValueError, StopIteration):
            return None

    def _inputs(self, first: int, run: Run) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return the input of block ``first`` in every batch of a full pass, and the logits (N, K) of that pass."""
        inputs: list[Tensor] = []
        passes = taken = 0

        def begin(_net: nn.Module, _args: Any) -> None:
            nonlocal passes
            if len(inputs) != passes:
                raise _UnfitError
            passes += 1

        def keep(_block: nn.Module, args: tuple[Any, ...]) -> None:
            nonlocal taken
            # a block that is called again would be given what the unedited one made of its first call
            if not args or not isinstance(args[0], Tensor) or len(inputs) + 1 != passes:
                raise _UnfitError
            taken += args[0].nbytes
            self._make_room(taken)
            inputs.append(args[0].detach().clone())

        handles = [
            self._net.register_forward_pre_hook(begin),
            self._modules[first].register_forward_pre_hook(keep),
        ]
        try:
            expected = run()
        finally:
            for handle in handles:
                handle.remove()
        if len(inputs) != passes:
            raise _UnfitError
        return tuple(inputs), expected

    def _make_room(self, needed: int) -> None:
        """Let tails go, the least recently used first, until ``needed`` bytes fit into the budget beside the others."""
        if needed > self._budget:
            raise _UnfitError
        there = {key: tail.nbytes for key, tail in self._kept.items() if tail is not None}
        total = sum(there.values())
        for key, size in there.items():
            if total + needed <= self._budget:
                break
            del self._kept[key]
            total -= size


class _UnfitError(Exception):
    """The network cannot be entered at the block, or what enters it is too large to keep."""
