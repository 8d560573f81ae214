"""Hooks that hand a layer's input rows and output gradients to its sums, for as long as a block lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from vitmem.kfac.moments import LayerMoments

Rows = Callable[[Tensor], Tensor]


class Capture:
    """Which backward pass of the current batch is running: inputs are counted in the first one only."""

    def __init__(self) -> None:
        self.first_pass = True


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
            entered = _kept(rows(args[0].detach()), args[0])
            output.register_hook(lambda gradient: _add(sums[path], entered, rows(gradient), state))
            return output if replaced else None

        handles.append(layer.register_forward_hook(hook))
    try:
        yield state
    finally:
        for handle in handles:
            handle.remove()


def _kept(rows: Tensor, activation: Tensor) -> Tensor:
    """Copy a small part of an activation, so that the whole of it does not stay in memory until the backward pass."""
    return rows.clone() if rows.numel() < activation.numel() else rows


def _add(sums: LayerMoments, a: Tensor, g: Tensor, state: Capture) -> None:
    a, g = _wide(a), _wide(g)
    if state.first_pass:
        sums.add_inputs(a)
    sums.add_gradients(a, g)


def _wide(rows: Tensor) -> Tensor:
    """Cast rows of low precision up; float32 and float64 stay."""
    return rows if rows.dtype in (torch.float32, torch.float64) else rows.float()
