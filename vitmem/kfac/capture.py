"""Hooks that hand a layer's input rows and output gradients to its sums, for as long as a block lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from vitmem.kfac.moments import LayerMoments

Rows = Callable[[Tensor], Tensor]


class Entered:
    """The rows a (n, q) that entered one or several layers as the same tensor, and their product once it is made."""

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows
        self.readers = 0
        self.product: Tensor | None = None


class Capture:
    """Which backward pass of which batch is running: inputs are counted in the first one only."""

    def __init__(self) -> None:
        self.begin_batch()

    def begin_batch(self) -> None:
        """Forget what entered the layers in earlier batches."""
        self.first_pass = True
        self.batch = object()


@contextmanager
def captured(layers: Mapping[str, nn.Module], sums: Mapping[str, LayerMoments], rows: Rows) -> Iterator[Capture]:
    """Inside, every backward pass adds to ``sums`` what reached the outputs of ``layers``.

    The output *tensor* is hooked, so a layer that is called twice counts both calls, and a forward pass
    that is only replayed by gradient checkpointing, and has no backward pass of its own, counts none.
    The graph begins at the lowest layer: its output becomes a leaf, nothing below it is differentiated.
    """
    state = Capture()
    handles = []
    for path, layer in layers.items():

        def hook(_layer: nn.Module, args: tuple[Any, ...], output: Tensor, path: str = path) -> Tensor | None:
            if not torch.is_grad_enabled():
                return None
            replaced = not output.requires_grad
            if replaced:
                output = output.detach().requires_grad_()
            entered = _entered(args[0], rows, state)
            output.register_hook(lambda gradient: _add(sums[path], entered, rows(gradient), state))
            return output if replaced else None

        handles.append(layer.register_forward_hook(hook))
    try:
        yield state
    finally:
        for handle in handles:
            handle.remove()


def _entered(activation: Tensor, rows: Rows, state: Capture) -> Entered:
    """Return what entered a layer; layers that read the same tensor (gate and up; q, k and v) get the same object.

    A small part of an activation is copied, so that the whole of it does not stay in memory until the
    backward pass.
    """
    batch, entered = getattr(activation, "_vitmem_entered", (None, None))
    if entered is None or batch is not state.batch:
        chosen = rows(activation.detach())
        entered = Entered(_wide(chosen.clone() if chosen.numel() < activation.numel() else chosen))
        # kept on the tensor, so that it lives as long as the tensor does
        activation._vitmem_entered = (state.batch, entered)  # type: ignore[attr-defined]
    entered.readers += 1
    found: Entered = entered
    return found


def _add(sums: LayerMoments, entered: Entered, gradient: Tensor, state: Capture) -> None:
    if state.first_pass:
        if entered.readers > 1 and entered.product is None:
            entered.product = entered.rows.T @ entered.rows
        sums.add_inputs(entered.rows, entered.product)
    sums.add_gradients(entered.rows, _wide(gradient))


def _wide(rows: Tensor) -> Tensor:
    """Cast rows of low precision up; float32 and float64 stay."""
    return rows if rows.dtype in (torch.float32, torch.float64) else rows.float()
