"""The module calls of a forward pass, in order, with shapes, traced on meta tensors at almost no cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vitmem import kfac as engine
from vitmem.errors import InputError, one_line
from vitmem.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


Shape = tuple[int, ...]
# Batch size of a trace: not one, so that it differs from other lengths.
IMAGES = 2


@dataclass(frozen=True)
class Call:
    """The first call of a module in a forward pass: shapes of its input and output tensors.

    ``reads`` has a number for each input tensor, equal for the same tensor.
    """

    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    reads: tuple[int, ...] = ()


def traced(net: torch.nn.Module, channels: int, size: int, name: str) -> dict[str, Call]:
    """Return path -> call of the modules of ``net`` for two images (2, channels, size, size), in call order.

    The pass runs on the meta device, or if that fails on zeros. Raises InputError, with the ``name`` of the network,
    when it cannot read such images.
    """
    with engine.eval_mode(net), torch.no_grad():
        if not any(
            isinstance(module, torch.nn.RNNBase) for module in net.modules()
        ):  # their steps are slow without values
            state = {**dict(net.named_parameters()), **dict(net.named_buffers())}
            empty = {key: torch.empty_like(value, device="meta") for key, value in state.items()}
            image = torch.empty(IMAGES, channels, size, size, device="meta")
            try:
                return _calls(net, lambda: torch.func.functional_call(net, empty, (image,)))
            except Exception:
                pass  # tensors that are neither parameters nor buffers, or operations that read values
        try:
            zeros = next(net.parameters()).new_zeros(IMAGES, channels, size, size)
            return _calls(net, lambda: net(zeros))
        except Exception as error:
            raise InputError(
                f"model '{name}': it cannot read images of {channels}x{size}x{size}: {one_line(error)}"
            ) from error


def _calls(net: torch.nn.Module, run: Callable[[], Any]) -> dict[str, Call]:
    """Return the calls of ``run``, ordered by their start."""
    begun: dict[str, Call] = {}
    with _hooked(net, begun):
        run()
    return begun


@contextmanager
def _hooked(net: torch.nn.Module, begun: dict[str, Call]) -> Iterator[None]:
    handles, alive = [], []

    def before(path: str, args: Any, named: dict[str, Any]) -> None:
        if path not in begun:
            tensors = list(_tensors((args, named)))
            alive.append(tensors)  # a freed tensor's id may be reused
            begun[path] = Call(_shapes(tensors), (), tuple(id(tensor) for tensor in tensors))

    def after(path: str, output: Any) -> None:
        if not begun[path].outputs:
            begun[path] = replace(begun[path], outputs=_shapes(_tensors(output)))

    for path, module in net.named_modules():
        handles.append(module.register_forward_pre_hook(lambda _m, a, n, p=path: before(p, a, n), with_kwargs=True))
        handles.append(module.register_forward_hook(lambda _m, _a, out, p=path: after(p, out)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _shapes(tensors: Iterable[Tensor]) -> tuple[Shape, ...]:
    return tuple(tuple(tensor.shape) for tensor in tensors)


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in ``value`` and its nested lists, tuples and mappings."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
