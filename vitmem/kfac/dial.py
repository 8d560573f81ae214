"""Both versions of edited layers in one model, and the share of what was removed that it has: 0 to 1.

W_t = t W + (1 - t) W', where W' is the edited weight: 1 is the trained model, 0 the edited one. The model keeps W and,
beside it, whichever of W' and W - W' is the product of fewer numbers. An edit in the curvature basis leaves a W' of the
rank that its mask has rows (or columns) with anything in them; the bases themselves would take p² + q² numbers, more
than the p q of W'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from vitmem.errors import InputError
from vitmem.kfac.layers import is_conv1d, is_matrix, layer_at, weight_matrix

# How close a decomposition in float64 comes, relative to the norm of the matrix.
FLOAT64 = 1e-13


@dataclass(frozen=True)
class Complement:
    """What is kept beside W (p, q): ``kept`` is W', ``removed`` is W - W', ``left`` (p, r) times ``right`` (r, q).

    Without ``left`` no product takes fewer numbers, and ``right`` is W' (p, q) itself.
    """

    of: Literal["kept", "removed"]
    right: Tensor
    left: Tensor | None = None

    @property
    def rank(self) -> int | None:
        """The inner size r of the product, ``None`` where there is none."""
        return None if self.left is None else len(self.right)

    @property
    def bytes(self) -> int:
        """What the tensors take in memory and in a file."""
        return self.right.nbytes + (0 if self.left is None else self.left.nbytes)

    def at(self, weight: Tensor, t: float) -> Tensor:
        """Return W_t (p, q) for W (p, q); 1 gives W itself."""
        if t == 1:
            return weight
        part = self.right if self.left is None else self.left @ self.right
        if self.of == "removed":
            return weight - (1 - t) * part
        return t * weight + (1 - t) * part if t else part


def complement(weight: Tensor, new: Tensor) -> Complement:
    """Return the cheaper complement of W (p, q) becoming ``new`` W' (p, q), in their dtype.

    A product is as close to W' (Frobenius norm) as the rounding of W' to its dtype: singular values below that are
    left out, and so are those that the decomposition itself, in float64, cannot tell from zero.
    """
    allowed = max(torch.finfo(new.dtype).eps, FLOAT64) * float(new.double().norm())
    left, right = _product(new.double(), allowed)
    of: Literal["kept", "removed"] = "kept"
    # the ranks of W' and W - W' add up to that of W at least: where W' has less than half of it, it is the cheaper one
    if 2 * len(right) > min(new.shape):
        other = _product(weight.double() - new.double(), allowed)
        if len(other[1]) < len(right):
            of, (left, right) = "removed", other
    if left.numel() + right.numel() >= new.numel():
        return Complement("kept", new.clone())
    return Complement(of, right.to(new.dtype).contiguous(), left.to(new.dtype).contiguous())


def _product(matrix: Tensor, allowed: float) -> tuple[Tensor, Tensor]:
    """Return factors (p, r) and (r, q) of the smallest r whose product is within ``allowed`` of ``matrix`` (p, q)."""
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    rest = s.square().flip(0).cumsum(0).flip(0).sqrt()  # (n,): what is left out by stopping before each of them
    rank = int((rest > allowed).sum())
    root = s[:rank].sqrt()
    return u[:, :rank] * root, root[:, None] * v[:rank]


class Dial:
    """Turns the layers of ``model``, which has the weights W, between W (1) and W' (0) by ``complements`` (by path).

    W_t is made where a layer reads its weight, so that any use of it follows; W itself is never written to. Begins at
    1. Raises InputError for a path that is no layer of the model, or one of another shape.
    """

    def __init__(self, model: nn.Module, complements: Mapping[str, Complement]) -> None:
        self._layers = {path: _layer(model, path, one) for path, one in complements.items()}
        self._turned = [_Turned(self._layers[path], one) for path, one in complements.items()]
        for layer, turned in zip(self._layers.values(), self._turned, strict=True):
            parametrize.register_parametrization(layer, "weight", turned)
        self.bytes = sum(one.bytes for one in complements.values())

    @property
    def t(self) -> float:
        """The share of what was removed that the model has now."""
        return self._turned[0].t

    def turn(self, t: float) -> None:
        """Set the share; raises InputError for one outside [0, 1]."""
        check_share(t)
        for turned in self._turned:
            turned.t = t

    def remove(self) -> None:
        """Leave the model with the weights W that it had before, bit for bit."""
        for layer in self._layers.values():
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)


class _Turned(nn.Module):
    """What ``torch.nn.utils.parametrize`` makes of the weight of one layer; its tensors follow the model's device."""

    right: Tensor
    left: Tensor | None

    def __init__(self, layer: nn.Module, one: Complement) -> None:
        super().__init__()
        self.t, self.of, self.transposed = 1.0, one.of, is_conv1d(layer)
        like = layer.weight
        assert isinstance(like, Tensor)
        self.register_buffer("right", one.right.to(like.device), persistent=False)
        self.register_buffer("left", None if one.left is None else one.left.to(like.device), persistent=False)

    def forward(self, weight: Tensor) -> Tensor:
        """Return W_t in the shape of ``weight`` (p, ...)."""
        if self.t == 1:
            return weight
        matrix = weight.T if self.transposed else weight.flatten(1)
        new = Complement(self.of, self.right, self.left).at(matrix, self.t)
        return new.T if self.transposed else new.reshape(weight.shape)


def check_share(t: float) -> None:
    """Raise InputError unless ``t`` is in [0, 1]."""
    if not 0 <= t <= 1:
        raise InputError(f"dial: expected a number from 0 (edited) to 1 (as it was), got {t}")


def _layer(model: nn.Module, path: str, one: Complement) -> nn.Module:
    layer = layer_at(model, path)
    if not is_matrix(layer):
        raise InputError(f"layer '{path}': expected a linear layer or a convolution, got {type(layer).__name__}")
    p, q = (len(one.right), one.right.shape[1]) if one.left is None else (len(one.left), one.right.shape[1])
    if (found := tuple(weight_matrix(layer).shape)) != (p, q):
        raise InputError(f"layer '{path}': expected a weight {(p, q)}, got {found}")
    return layer
