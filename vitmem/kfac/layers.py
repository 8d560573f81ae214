"""Matrix layers, identified by class, and their weights W (p, q): p outputs, q inputs."""

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
    """Return whether the engine can edit ``module``: a linear layer, or a convolution of one group."""
    return is_linear(module) or is_conv2d(module)


def is_linear(module: nn.Module) -> bool:
    """Return whether ``module`` is a linear layer."""
    return isinstance(module, nn.Linear) or is_conv1d(module)


def is_conv1d(module: nn.Module) -> bool:
    """Return whether ``module`` is the Conv1D of transformers, a linear layer with a transposed weight."""
    return any(c.__name__ == "Conv1D" and c.__module__.startswith("transformers.") for c in type(module).__mro__)


def is_conv2d(module: nn.Module) -> bool:
    """Return whether ``module`` is a convolution of one group that applies its weight to patches unchanged.

    Subclasses that pad or scale their weight in their own forward pass are excluded.
    """
    plain = isinstance(module, nn.Conv2d) and module.groups == 1
    return plain and type(module).forward is nn.Conv2d.forward


def weight_matrix(layer: nn.Module) -> Tensor:
    """Return the weight of ``layer`` as W (p, q); for a convolution q indexes a patch (C, kh, kw)."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return matrix_of(layer, weight.detach())


def matrix_of(layer: nn.Module, value: Tensor) -> Tensor:
    """Reshape ``value`` from the layout of the weight of ``layer`` to (p, q)."""
    return value.T if is_conv1d(layer) else value.flatten(1)


def kept_as(layer: nn.Module, matrix: Tensor) -> Tensor:
    """Reshape ``matrix`` (p, q) to the layout of the weight of ``layer``; the inverse of ``matrix_of``."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return matrix.T if is_conv1d(layer) else matrix.reshape(weight.shape)


def put_matrix(layer: nn.Module, matrix: Tensor) -> None:
    """Write W (p, q) into ``layer``, in the shape, dtype and memory format of its weight."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    weight.detach().copy_(kept_as(layer, matrix))


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Inside, every module of ``model`` is in eval mode; the exit restores each module's mode."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
