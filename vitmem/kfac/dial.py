"""Both versions of edited layers in one model, interpolated by the restored share t of an edit, 0 to 1.

W_t = t W + (1 - t) W', where W' is the edited weight: 1 is the trained model, 0 the edited one. The model stores W and
the cheaper low-rank product of W' and W - W'. An edit in the curvature basis gives W' the rank of its mask's non-empty
rows (or columns); the bases themselves would take p² + q² numbers, more than the p q of W'.
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

# Precision of a decomposition in float64, relative to the norm of the matrix.
FLOAT64 = 1e-13


@dataclass(frozen=True)
class Complement:
    """The stored complement of W (p, q): ``kept`` means W', ``removed`` W - W'; ``left`` (p, r) times ``right`` (r, q).

    Without ``left`` no product is smaller, and ``right`` is W' (p, q) itself.
    """

    of: Literal["kept", "removed"]
    right: Tensor
    left: Tensor | None = None

    @property
    def rank(self) -> int | None:
        """The inner size r of the product, ``None`` without a product."""
        return None if self.left is None else len(self.right)

    @property
    def bytes(self) -> int:
        """Size of the tensors in memory and in a file, in bytes."""
        return self.right.nbytes + (0 if self.left is None else self.left.nbytes)

    def at(self, weight: Tensor, t: float) -> Tensor:
        """Return W_t (p, q) for W (p, q); 1 returns W itself."""
        if t == 1:
            return weight
        part = self.right if self.left is None else self.left @ self.right
        if self.of == "removed":
            return weight - (1 - t) * part
        return t * weight + (1 - t) * part if t else part


def complement(weight: Tensor, new: Tensor) -> Complement:
    """Return the cheaper complement of the change from W (p, q) to ``new`` W' (p, q), in their dtype.

    The product matches W' (Frobenius norm) within the rounding of W' to its dtype: smaller singular values are left
    out, and so are those below the precision of the float64 decomposition.
    """
    allowed = max(torch.finfo(new.dtype).eps, FLOAT64) * float(new.double().norm())
    left, right = _product(new.double(), allowed)
    of: Literal["kept", "removed"] = "kept"
    # the ranks of W' and W - W' sum to at least that of W, so W' is cheaper when its rank is less than half of it
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
    rest = s.square().flip(0).cumsum(0).flip(0).sqrt()  # (n,): error of truncating before each singular value
    rank = int((rest > allowed).sum())
    root = s[:rank].sqrt()
    return u[:, :rank] * root, root[:, None] * v[:rank]


class Dial:
    """Interpolates layers of ``model``, which has the weights W, between W (1) and W' (0) by ``complements`` (by path).

    W_t is computed wherever a layer reads its weight, so any use follows it; W itself is never written to. Starts at 1.
    Raises InputError for a path that is not a layer of the model, or a shape mismatch.
    """

    def __init__(self, model: nn.Module, complements: Mapping[str, Complement]) -> None:
        self._layers = {path: _layer(model, path, one) for path, one in complements.items()}
        self._turned = [_Turned(self._layers[path], one) for path, one in complements.items()]
        for layer, turned in zip(self._layers.values(), self._turned, strict=True):
            parametrize.register_parametrization(layer, "weight", turned)
        self.bytes = sum(one.bytes for one in complements.values())

    @property
    def t(self) -> float:
        """The restored share of the edit."""
        return self._turned[0].t

    def turn(self, t: float) -> None:
        """Set the share; raises InputError outside [0, 1]."""
        check_share(t)
        for turned in self._turned:
            turned.t = t

    def remove(self) -> None:
        """Restore the original weights W of the model, bit for bit."""
        for layer in self._layers.values():
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)


class _Turned(nn.Module):
    """Parametrization of the weight of one layer; its tensors follow the model's device."""

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
    if (shape := tuple(weight_matrix(layer).shape)) != (p, q):
        raise InputError(f"layer '{path}': expected a weight {(p, q)}, got {shape}")
    return layer
