"""Hooks that pass a layer's input rows and output gradients to its sums, inside a ``with`` block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from vitmem.errors import InputError, VitmemError
from vitmem.kfac.layers import is_conv2d
from vitmem.kfac.moments import LayerMoments, add_upper
from vitmem.kfac.patches import geometry, inputs_of, outputs_of

Rows = Callable[[Tensor, Any], Tensor]


class Entered:
    """Input rows a (n, q) of one or more layers that read the same tensor, and their product once computed.

    For a convolution ``rows`` is ``None``, and ``make`` computes the patches, which are larger than the activation, in
    the backward pass.
    """

    def __init__(self, activation: Tensor, rows: Tensor | None, make: Callable[[], Tensor] | None = None) -> None:
        self.activation = None if rows is not None and _apart(activation, rows) else activation.detach()
        self.version = _version(activation)
        self._rows, self._make = rows, make
        self.readers = 0
        self.product: Tensor | None = None

    def rows(self) -> Tensor:
        """Return the rows (n, q)."""
        if self._rows is not None:
            return self._rows
        assert self._make is not None
        return self._make()

    def check(self, path: str) -> None:
        """Raise VitmemError when the rows were changed after the layer ``path`` read them."""
        if self.activation is not None and _version(self.activation) != self.version:
            raise VitmemError(
                f"layer '{path}': its input was changed in place after the layer had read it; "
                "its statistics would be wrong, so replace the in-place operation in the model"
            )


class Capture:
    """State of the current batch and backward pass: inputs are counted in the first backward pass only."""

    def __init__(self) -> None:
        self.in_head = False
        self.begin_batch(None)

    @contextmanager
    def head(self) -> Iterator[None]:
        """Inside, the head is applied to a slice of the features; no captured layer may be part of it."""
        self.in_head = True
        try:
            yield
        finally:
            self.in_head = False

    def begin_batch(self, data: Any) -> None:
        """Drop the rows of earlier batches; ``data`` is the batch that determines the counted positions."""
        self.first_pass = True
        self.data = data
        self.batch = object()


@contextmanager
def captured(layers: Mapping[str, nn.Module], sums: Mapping[str, LayerMoments], rows: Rows) -> Iterator[Capture]:
    """Inside, every backward pass adds the output gradients of ``layers`` to ``sums``.

    The hook is on the output *tensor*: a layer that is called twice counts both calls, and a forward pass replayed by
    gradient checkpointing, without its own backward pass, counts none. The graph starts at the lowest layer; nothing
    below it is differentiated. Raises VitmemError in the backward pass when an input was changed in place after a
    layer read it.
    """
    state = Capture()
    handles = []
    for path, layer in layers.items():

        def hook(
            layer: nn.Module, args: tuple[Any, ...], named: dict[str, Any], output: Tensor, path: str = path
        ) -> Tensor | None:
            if state.in_head:
                raise InputError(
                    f"layer '{path}' is part of the head, which is applied to a few rows at a time; leave it out, or "
                    "give a task whose features are the logits"
                )
            if not torch.is_grad_enabled():
                return None
            replaced = not output.requires_grad
            if replaced:
                # a copy of the leaf, so that later operations may work in place
                output = output.detach().requires_grad_().clone()
            entered = _entered(layer, _input(args, named), rows, state)
            output.register_hook(
                lambda gradient: _add(sums[path], entered, rows(outputs_of(layer, gradient), state.data), state)
            )
            return output if replaced else None

        handles.append(layer.register_forward_hook(hook, with_kwargs=True))
    try:
        yield state
    finally:
        for handle in handles:
            handle.remove()


def _entered(layer: nn.Module, activation: Tensor, rows: Rows, state: Capture) -> Entered:
    """Return the input of a layer; layers that read the same rows (gate and up; q, k and v) share one object.

    A small part of an activation is copied, so that the whole activation is freed before the backward pass. Patches,
    which overlap, are made in the backward pass, one layer at a time.
    """
    entries: dict[Any, Entered] = {}
    batch, known = getattr(activation, "_vitmem_entered", (None, entries))
    if batch is state.batch:
        entries = known
    kind = geometry(layer)
    entered = entries.get(kind)
    if entered is None or entered.version != _version(activation):
        whole = activation.detach()
        if is_conv2d(layer):
            entered = Entered(activation, None, lambda: wide(rows(inputs_of(layer, whole), state.data)))
        else:
            chosen = rows(whole, state.data)
            part = chosen.numel() < activation.numel() and not _apart(activation, chosen)
            entered = Entered(activation, wide(chosen.clone() if part else chosen))
        # stored on the tensor, so that it has the tensor's lifetime
        activation._vitmem_entered = (state.batch, {**entries, kind: entered})  # type: ignore[attr-defined]
    entered.readers += 1
    return entered


def _add(sums: LayerMoments, entered: Entered, gradient: Tensor, state: Capture) -> None:
    entered.check(sums.path)
    rows = entered.rows()
    if state.first_pass:
        if entered.readers > 1 and entered.product is None:
            width = rows.shape[1]
            entered.product = rows.new_zeros(width, width)
            add_upper(entered.product, rows, rows)
        sums.add_inputs(rows, entered.product)
    sums.add_gradients(rows, wide(gradient))


def _version(tensor: Tensor) -> int:
    """Return how often ``tensor`` was changed in place (0 for inference tensors, which do not count)."""
    return 0 if tensor.is_inference() else tensor._version


def _apart(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors have separate memory."""
    return one.untyped_storage().data_ptr() != other.untyped_storage().data_ptr()


def wide(rows: Tensor) -> Tensor:
    """Return ``rows`` (n, ...) of low precision as float32; float32 and float64 stay."""
    return rows if rows.dtype in (torch.float32, torch.float64) else rows.float()


@contextmanager
def entering(layers: Mapping[str, nn.Module], see: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Inside, every forward pass calls ``see`` with the path and the input (B, ..., q) of each of ``layers``."""
    handles = []
    for path, layer in layers.items():

        def hook(layer: nn.Module, args: tuple[Any, ...], named: dict[str, Any], path: str = path) -> None:
            see(path, inputs_of(layer, _input(args, named)))

        handles.append(layer.register_forward_pre_hook(hook, with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _input(args: tuple[Any, ...], named: dict[str, Any]) -> Tensor:
    """Return the input of a layer call, positional or keyword."""
    entered: Tensor = args[0] if args else next(iter(named.values()))
    return entered
