"""Edit one matrix in two bases, and put edited weights into a model inside a ``with`` block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from vitmem.errors import InputError, VitmemError
from vitmem.kfac.importance import Basis
from vitmem.kfac.layers import layer_at, put_matrix, weight_matrix


@dataclass(frozen=True)
class LayerReport:
    """Summary of an edit of one matrix W (p, q).

    ``kept_pairs`` of ``total_pairs``; ``kept_mass``, the kept share of the importance (``None`` where
    the method has none); ``kept_energy`` = ‖C∘M‖²/‖C‖²; ``weight_norm`` = ‖W‖, ``change_norm`` = ‖ΔW‖;
    ``first_row``, the number of columns kept in the first row; ``cast_error`` = ‖cast(W') - W'‖/‖ΔW‖.
    """

    kept_pairs: int
    total_pairs: int
    kept_mass: float | None
    kept_energy: float
    weight_norm: float
    change_norm: float
    first_row: int
    cast_error: float

    @property
    def relative_change(self) -> float:
        """‖ΔW‖/‖W‖."""
        return self.change_norm / self.weight_norm if self.weight_norm else 0.0

    def as_dict(self) -> dict[str, float]:
        """Return the numbers by name, without ``None`` values."""
        return {**{k: v for k, v in asdict(self).items() if v is not None}, "relative_change": self.relative_change}


def edit_matrix(
    weight: Tensor, output: Basis, inner: Basis, mask: Tensor, kept_mass: float | None = None
) -> tuple[Tensor, LayerReport]:
    """Return W' = U_G (C ∘ M) U_Aᵀ, C = U_Gᵀ W U_A, for ``weight`` W (p, q) and ``mask`` M (p, q), with its report.

    M is 0 or 1, or a gain between them; the report counts the rounded sum of M as the kept pairs. Computed in float64
    and cast to the weight's dtype at the end; a mask of ones returns W itself.
    """
    if (mask == 1).all():
        return weight.clone(), _report(weight, weight.double(), weight, mask, kept_mass, 1.0)
    wide = weight.double().cpu()
    coordinates = inner.into(output.into(wide).T).T  # (p, q)
    kept = coordinates * mask
    new = inner.back(output.back(kept).T).T
    energy = float(kept.square().sum() / coordinates.square().sum()) if wide.any() else 1.0
    cast = new.to(weight.dtype)
    return cast.to(weight.device), _report(weight, new, cast, mask, kept_mass, energy)


def _report(
    weight: Tensor, exact: Tensor, cast: Tensor, mask: Tensor, kept_mass: float | None, energy: float
) -> LayerReport:
    change = float((exact.cpu() - weight.double().cpu()).norm())
    rounding = float((cast.double().cpu() - exact.cpu()).norm())
    return LayerReport(
        kept_pairs=round(float(mask.sum())),
        total_pairs=mask.numel(),
        kept_mass=kept_mass,
        kept_energy=energy,
        weight_norm=float(weight.double().norm()),
        change_norm=change,
        first_row=int(mask[0].sum()),
        cast_error=rounding / change if change else 0.0,
    )


def replaced(weight: Tensor, new: Tensor, kept: int, total: int, energy: float) -> LayerReport:
    """Return the report for the change from W (p, q) to ``new`` (p, q) with ``kept`` of ``total`` components."""
    change = float((new.double() - weight.double()).norm())
    return LayerReport(
        kept_pairs=kept,
        total_pairs=total,
        kept_mass=None,
        kept_energy=energy,
        weight_norm=float(weight.double().norm()),
        change_norm=change,
        first_row=kept,
        cast_error=0.0,
    )


@contextmanager
def edited(model: nn.Module, new_weights: Mapping[str, Tensor]) -> Iterator[nn.Module]:
    """Inside, ``model`` has ``new_weights`` (path -> W' (p, q)); the exit restores every bit, also after an error.

    A path ending in ``.bias`` is a layer's bias (p,). All weights are checked before any is changed. Raises InputError
    for an unknown path or a wrong shape, VitmemError naming the layer for NaN or infinity.
    """
    before = {path: _read(model, path) for path in new_weights}
    for path, new in new_weights.items():
        if before[path].shape != new.shape:
            raise InputError(f"layer '{path}': expected a weight {tuple(before[path].shape)}, got {tuple(new.shape)}")
        if not torch.isfinite(new).all():
            raise VitmemError(f"layer '{path}': NaN or infinity in the edited weight")
    try:
        for path, new in new_weights.items():
            _put(model, path, new)
        yield model
    finally:
        for path, old in before.items():
            _put(model, path, old)


def _read(model: nn.Module, path: str) -> Tensor:
    bias = _bias(model, path)
    return (weight_matrix(layer_at(model, path)) if bias is None else bias).clone()


def _put(model: nn.Module, path: str, new: Tensor) -> None:
    bias = _bias(model, path)
    if bias is None:
        put_matrix(layer_at(model, path), new)
    else:
        bias.copy_(new)


def _bias(model: nn.Module, path: str) -> Tensor | None:
    """Return the bias (p,) at ``path``, ``None`` when it is the path of a layer."""
    layer, _, name = path.rpartition(".")
    bias = getattr(layer_at(model, layer), "bias", None) if name == "bias" else None
    return bias.detach() if isinstance(bias, Tensor) else None
