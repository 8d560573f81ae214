"""Statistics of a set of layers: float64, saved as safetensors, tied to their model by a fingerprint."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vitmem.errors import InputError, VitmemError, one_line
from vitmem.files import short_name
from vitmem.kfac.layers import weight_matrix
from vitmem.kfac.packed import packed, packed_length, unpacked
from vitmem.kfac.sealed import Seal, mapping, sealed
from vitmem.kfac.spectrum import Eigen, centered, eigen
from vitmem.kfac.stored import Stored, stored_tensors

# Metadata key of the numbers of each layer.
NUMBERS = "numbers"
# Rows of a weight per chunk.
ROWS = 256
# Symmetric tensors, which a file may store by halves; the metadata have the size of each halved one.
HALVED = "halved"
SYMMETRIC = ("a", "g", "a_coupled", "g_coupled")


@dataclass(frozen=True)
class LayerFactors:
    """Statistics of one layer over ``count`` positions; a is its input row (q), g the gradient at its output (p).

    ``a`` = mean a aᵀ (q, q); ``g`` = mean g gᵀ (p, p). Coupled: ``a_coupled`` = mean |g|² a aᵀ, ``g_coupled`` = mean
    |a|² g gᵀ, with their diagonals and ``trace`` = mean |a|²|g|²; ``None`` unless requested. ``a_mean`` = mean a (q,),
    if requested. ``pairs`` = mean (u_iᵀ g)² (v_jᵀ a)² (p, q) from a second pass, with its eigenvectors as columns:
    ``g_vectors`` (p, p) and ``a_vectors`` (q, q), because another machine may order them differently.
    """

    count: int
    a: Tensor
    g: Tensor
    a_coupled: Tensor | None = None
    g_coupled: Tensor | None = None
    a_diagonal: Tensor | None = None
    g_diagonal: Tensor | None = None
    trace: float | None = None
    a_mean: Tensor | None = None
    pairs: Tensor | None = None
    g_vectors: Tensor | None = None
    a_vectors: Tensor | None = None

    @cached_property
    def eigen_a(self) -> Eigen:
        """Spectrum of ``a``, cached."""
        return eigen(self.a)

    @cached_property
    def eigen_g(self) -> Eigen:
        """Spectrum of ``g``, cached."""
        return eigen(self.g)

    @cached_property
    def eigen_a_centered(self) -> Eigen | None:
        """Spectrum of the input covariance and mean, cached; see ``centered``."""
        return None if self.a_mean is None else centered(self.a, self.a_mean)

    @cached_property
    def eigen_a_coupled(self) -> Eigen | None:
        """Spectrum of ``a_coupled``, cached."""
        return None if self.a_coupled is None else eigen(self.a_coupled)

    @cached_property
    def eigen_g_coupled(self) -> Eigen | None:
        """Spectrum of ``g_coupled``, cached."""
        return None if self.g_coupled is None else eigen(self.g_coupled)


@dataclass(frozen=True)
class Factors:
    """Path -> statistics, and ``metadata``: label mode, positions, seed, dtype, fingerprints."""

    layers: Mapping[str, LayerFactors]
    metadata: Mapping[str, str] = field(default_factory=dict)

    def save(self, path: Path, *, halved: bool = False) -> None:
        """Write everything to one safetensors file; ``halved`` stores symmetric matrices without their lower half."""
        tensors, sizes = {}, {}
        numbers: dict[str, dict[str, float]] = {}
        for name, layer in self.layers.items():
            numbers[name] = {}
            for part in fields(layer):
                value = getattr(layer, part.name)
                if isinstance(value, Tensor):
                    key = f"{name}::{part.name}"
                    if halved and part.name in SYMMETRIC and torch.equal(value, value.T):
                        sizes[key], value = len(value), packed(value)
                    tensors[key] = value.contiguous()
                elif value is not None:
                    numbers[name][part.name] = value
        halves = {HALVED: json.dumps(sizes)} if sizes else {}
        save_file(tensors, path, sealed(tensors, {**self.metadata, **halves, NUMBERS: json.dumps(numbers)}))

    @classmethod
    def load(cls, path: Path) -> Factors:
        """Read a file from ``save``; raises InputError when it is missing, truncated or modified."""
        header = _Header.open(path)
        with _reading(path), safe_open(path, framework="pt") as file:
            stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        with _reading(path):
            tensors: dict[str, Any] = {key: header.whole(key, tensor) for key, tensor in stored.items()}
            layers = {}
            for name, values in header.numbers.items():
                parts = {key.rpartition("::")[2]: t for key, t in tensors.items() if key.rpartition("::")[0] == name}
                layers[name] = LayerFactors(**values, **parts)
        return cls(layers, header.metadata)

    def check(self, model: nn.Module, layers: Mapping[str, nn.Module]) -> None:
        """Raise InputError, with the reason, unless these are statistics of ``model`` for ``layers``."""
        for path, layer in layers.items():
            if path not in self.layers:
                known = ", ".join(list(self.layers)[:4])
                raise InputError(
                    f"factors: no statistics of layer '{path}'; they cover {known}, ...; collect them again"
                )
            p, q = weight_matrix(layer).shape
            shape = (len(self.layers[path].g), len(self.layers[path].a))
            if shape != (p, q):
                raise InputError(
                    f"factors: layer '{path}' is {p} x {q}, the statistics are of a {shape[0]} x {shape[1]} layer"
                )
        expected = self.metadata.get("model")
        if expected is not None and expected != (got := model_fingerprint(model)):
            raise InputError(
                f"factors: they are of another model (fingerprint {expected}, this one is {got}); "
                "collect the statistics of this model"
            )


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Convert errors from a damaged file of factors to InputError."""
    try:
        yield
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        text = one_line(error, 100)
        raise InputError(
            f"{short_name(path)}: not a whole file of factors ({text}); collect the statistics again"
        ) from None


@dataclass(frozen=True)
class _Header:
    """Metadata of a file of factors and its ``tensors``: ``numbers`` by layer, and the rows of halved matrices."""

    metadata: Mapping[str, str]
    tensors: Mapping[str, Stored]
    numbers: Mapping[str, Any]
    sizes: Mapping[str, Any]
    seal: Seal

    @classmethod
    def open(cls, path: Path) -> _Header:
        """Read only the header of ``path``; raises InputError when it is not a file of factors."""
        tensors, metadata = stored_tensors(path)
        with _reading(path):
            if NUMBERS not in metadata:
                raise KeyError(NUMBERS)
            seal = Seal.of(path, set(tensors), metadata)
            numbers, sizes = (mapping(metadata.pop(key, "{}"), path) for key in (NUMBERS, HALVED))
        return cls(metadata, tensors, numbers, sizes, seal)

    def whole(self, key: str, tensor: Tensor) -> Tensor:
        """Return the matrix stored as ``tensor`` (n, ...) under ``key``; raises InputError if it was modified."""
        return _whole(self.seal.check(key, tensor), self.sizes.get(key))


def _whole(tensor: Tensor, size: int | None) -> Tensor:
    """Return the matrix (size, size) from its half ``tensor`` (k,), or ``tensor`` itself when it is not halved."""
    if size is None:
        return tensor
    if tensor.shape != (packed_length(size),):
        raise InputError(
            f"factors: half a matrix of {size} rows has {packed_length(size)} numbers, got {tuple(tensor.shape)}; "
            "collect the statistics again"
        )
    return unpacked(tensor, size)


def model_fingerprint(model: nn.Module) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of all names, shapes, types and values of the model's state."""
    return state_digest(model.state_dict())[:16]


def state_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of all names, shapes, types and values of ``tensors``, (n, ...) each by name."""
    state = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        state.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        state.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return state.hexdigest()


def weight_fingerprint(weight: Tensor, dtype: torch.dtype | None = None) -> str:
    """Return the dtype and 16 hexadecimal digits of the SHA-256 of the shape and values of W (p, q).

    With ``dtype``, of W cast to it. This way statistics of a bfloat16 model match the float32 file it was loaded from,
    and vice versa.
    """
    kind = dtype or weight.dtype
    state = hashlib.sha256(str(tuple(weight.shape)).encode())
    for rows in weight.detach().split(ROWS):
        state.update(rows.to(kind).cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return f"{str(kind).removeprefix('torch.')} {state.hexdigest()[:16]}"


@dataclass(frozen=True)
class StoredFactors:
    """A file of factors with matrices read one at a time; ``shapes`` are (p, q) by layer."""

    path: Path
    metadata: Mapping[str, str]
    shapes: Mapping[str, tuple[int, int]]
    header: _Header

    @classmethod
    def open(cls, path: Path) -> StoredFactors:
        """Read the header of a file from ``save``; raises InputError when it is missing or truncated."""
        header = _Header.open(path)
        with _reading(path):
            rows = {key: header.sizes.get(key, tensor.shape[0]) for key, tensor in header.tensors.items()}
            shapes = {x: (rows[f"{x}::g"], rows[f"{x}::a"]) for x in header.numbers}
        return cls(path, header.metadata, shapes, header)

    def read(self, layer: str, part: Literal["a", "g"]) -> Tensor:
        """Return A (q, q) or G (p, p) of ``layer``; raises VitmemError when it has NaN or infinity."""
        key = f"{layer}::{part}"
        with _reading(self.path):
            matrix = self.header.whole(key, self.header.tensors[key].read())
        if not math.isfinite(float(matrix.sum(dtype=torch.float64))):  # an elementwise mask would take memory
            raise VitmemError(f"factors: NaN or infinity in '{part}' of layer '{layer}'; collect the statistics again")
        return matrix

    def check_weight(self, layer: str, weight: Tensor) -> bool:
        """Raise InputError unless the statistics match W (p, q) of ``layer``; return False without a fingerprint."""
        known = mapping(self.metadata.get("weights", "{}"), self.path).get(layer)
        if known is None:
            return False
        if not hasattr(torch, str(known).split(" ")[0]):
            raise InputError(f"{short_name(self.path)}: not a whole file of factors; collect the statistics again")
        if weight_fingerprint(weight, getattr(torch, known.split()[0])) != known:
            raise InputError(
                f"factors: layer '{layer}' had other weights when they were collected: another model or an edited one; "
                "collect the statistics of this model"
            )
        return True
