"""Layers that are matrices, told by class, and their weights W (p, q): p outputs, q inputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from vitmem.errors import InputError


def layer_at(model: nn.Module, path: str) -> nn.Module:
    """Return the module ``path`` of ``model``; raises InputError when there is none."""
    try:
        return model.get_submodule(path)
    except AttributeError:
        raise InputError(
            f"layer '{path}': the model has no such module; were the weights made for another model?"
        ) from None


def is_matrix(module: nn.Module) -> bool:
    """Say whether ``module`` is a layer that the engine edits: linear, or a convolution of one group."""
    return is_linear(module) or is_conv2d(module)


def is_linear(module: nn.Module) -> bool:
    """Say whether ``module`` is a linear layer."""
    return isinstance(module, nn.Linear) or is_conv1d(module)


def is_conv1d(module: nn.Module) -> bool:
    """Say whether ``module`` is the Conv1D of transformers, a linear layer with a transposed weight."""
    return any(c.__name__ == "Conv1D" and c.__module__.startswith("transformers.") for c in type(module).__mro__)


def is_conv2d(module: nn.Module) -> bool:
    """Say whether ``module`` is a convolution of one group whose weight is applied to patches as it is.

    Subclasses that pad or scale their weight in a forward pass of their own are none.
    """
    plain = isinstance(module, nn.Conv2d) and module.groups == 1
    return plain and type(module).forward is nn.Conv2d.forward


def weight_matrix(layer: nn.Module) -> Tensor:
    """Return the weight of ``layer`` as W (p, q); its q inputs are those of a patch (C, kh, kw) in a convolution."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return matrix_of(layer, weight.detach())


def matrix_of(layer: nn.Module, value: Tensor) -> Tensor:
    """Turn ``value``, shaped as ``layer`` keeps its weight, into (p, q)."""
    return value.T if is_conv1d(layer) else value.flatten(1)


def kept_as(layer: nn.Module, matrix: Tensor) -> Tensor:
    """Turn ``matrix`` (p, q) into the shape that ``layer`` keeps its weight in: the other way round."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return matrix.T if is_conv1d(layer) else matrix.reshape(weight.shape)


def put_matrix(layer: nn.Module, matrix: Tensor) -> None:
    """Put W (p, q) into ``layer``, in the shape, type and memory format that it keeps its weight in."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    weight.detach().copy_(kept_as(layer, matrix))


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Inside, every module of ``model`` is in eval mode; afterwards each is in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
