"""The statistics of a set of layers: kept in float64, saved as safetensors, tied to their model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vitmem.errors import InputError
from vitmem.kfac.layers import weight_matrix
from vitmem.kfac.spectrum import Eigen, eigen


@dataclass(frozen=True)
class LayerFactors:
    """Statistics of one layer over ``count`` positions; a its input row (q), g the gradient at its output (p).

    ``a`` = mean a aᵀ (q, q); ``g`` = mean g gᵀ (p, p). The coupled ones are ``a_coupled`` = mean |g|² a aᵀ,
    ``g_coupled`` = mean |a|² g gᵀ, with their diagonals and ``trace`` = mean |a|²|g|²; ``None`` unless asked for.
    """

    count: int
    a: Tensor
    g: Tensor
    a_coupled: Tensor | None = None
    g_coupled: Tensor | None = None
    a_diagonal: Tensor | None = None
    g_diagonal: Tensor | None = None
    trace: float | None = None

    @cached_property
    def eigen_a(self) -> Eigen:
        """Spectrum of ``a``, made once."""
        return eigen(self.a)

    @cached_property
    def eigen_g(self) -> Eigen:
        """Spectrum of ``g``, made once."""
        return eigen(self.g)


@dataclass(frozen=True)
class Factors:
    """Path -> statistics, and ``metadata``: label mode, positions, seed, dtype, fingerprints."""

    layers: Mapping[str, LayerFactors]
    metadata: Mapping[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write everything to one safetensors file."""
        tensors = {}
        numbers: dict[str, dict[str, float]] = {}
        for name, layer in self.layers.items():
            numbers[name] = {}
            for part in fields(layer):
                value = getattr(layer, part.name)
                if isinstance(value, Tensor):
                    tensors[f"{name}::{part.name}"] = value.contiguous()
                elif value is not None:
                    numbers[name][part.name] = value
        save_file(tensors, path, {**self.metadata, "numbers": json.dumps(numbers)})

    @classmethod
    def load(cls, path: Path) -> Factors:
        """Read what ``save`` wrote; raises InputError when the file is missing or torn."""
        try:
            with safe_open(path, framework="pt") as file:
                metadata = dict(file.metadata() or {})
                numbers = json.loads(metadata.pop("numbers"))
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, json.JSONDecodeError) as error:
            raise InputError(f"{path}: not a whole file of factors ({error}); collect the statistics again") from None
        layers = {}
        for name, values in numbers.items():
            parts = {key.rpartition("::")[2]: t for key, t in tensors.items() if key.rpartition("::")[0] == name}
            layers[name] = LayerFactors(**values, **parts)
        return cls(layers, metadata)

    def check(self, model: nn.Module, layers: Mapping[str, nn.Module]) -> None:
        """Raise InputError, with the reason, unless these are statistics of ``model`` that cover ``layers``."""
        for path, layer in layers.items():
            if path not in self.layers:
                known = ", ".join(list(self.layers)[:4])
                raise InputError(
                    f"factors: no statistics of layer '{path}'; they cover {known}, ...; collect them again"
                )
            p, q = weight_matrix(layer).shape
            found = (len(self.layers[path].g), len(self.layers[path].a))
            if found != (p, q):
                raise InputError(
                    f"factors: layer '{path}' is {p} x {q}, the statistics are of a {found[0]} x {found[1]} layer"
                )
        expected = self.metadata.get("model")
        if expected is not None and expected != (got := model_fingerprint(model)):
            raise InputError(
                f"factors: they are of another model (fingerprint {expected}, this one is {got}); "
                "collect the statistics of this model"
            )


def model_fingerprint(model: nn.Module) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of all names, shapes, types and values of the model's state."""
    state = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        state.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        state.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return state.hexdigest()[:16]
