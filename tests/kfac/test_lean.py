"""Eigenvectors and edits in little memory: against the engine's own, which hold everything."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from vitmem.errors import InputError, VitmemError
from vitmem.kfac import (
    Factors,
    LayerFactors,
    StoredFactors,
    edit_lean,
    edit_matrix,
    eigen,
    eigen_lean,
    find_layers,
    fit,
    mask_of,
    pairs,
    staircase_by_mass,
    weight_fingerprint,
)
from vitmem.kfac.sealed import sealed
from vitmem.kfac.stored import stored_tensors


def moment(size: int, rank: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(rank, size, generator=generator, dtype=torch.float64)
    return rows.T @ rows / rank


@pytest.mark.parametrize(
    ("size", "rank"), [(1, 3), (2, 3), (3, 1), (64, 100), (65, 100), (66, 20), (300, 400), (300, 7)]
)
def test_eigenvectors_are_those_of_the_engine(size: int, rank: int) -> None:
    matrix = moment(size, rank)
    found, known = eigen_lean(matrix.clone), eigen(matrix)
    scale = float(known.values[0])
    assert torch.allclose(found.values, known.values, rtol=0, atol=1e-13 * scale)
    assert (found.values.diff() <= 0).all() and (found.values >= 0).all()
    assert torch.allclose(found.vectors.T @ found.vectors, torch.eye(size, dtype=torch.float64), atol=1e-11)
    rebuilt = (found.vectors * found.values) @ found.vectors.T
    assert torch.allclose(rebuilt, matrix, rtol=0, atol=1e-12 * scale)


@pytest.mark.parametrize("matrix", [torch.zeros(70, 70), torch.eye(70), torch.diag(torch.arange(70.0))])
def test_matrices_without_anything_to_reflect(matrix: torch.Tensor) -> None:
    found = eigen_lean(matrix.clone)
    assert torch.equal(found.values, matrix.double().diagonal().sort(descending=True).values)
    assert torch.allclose(found.vectors.T @ found.vectors, torch.eye(70, dtype=torch.float64))


def test_only_the_symmetric_part_counts() -> None:
    skewed = moment(40, 50).clone()
    skewed[3, 30] += 0.5
    assert torch.allclose(eigen_lean(skewed.clone).values, eigen(skewed).values, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("transposed", [False, True])
def test_the_edit_is_that_of_edit_matrix(dtype: torch.dtype, transposed: bool) -> None:
    stored = torch.randn(300, 270, generator=torch.Generator().manual_seed(1)).to(dtype)
    weight = stored.T if transposed else stored
    p, q = weight.shape
    found = pairs(LayerFactors(count=1, a=moment(q, 400), g=moment(p, 400, seed=2)))
    staircase = staircase_by_mass(found.rows, found.columns, 0.6)
    expected, known = edit_matrix(weight.clone(), found.output, found.input, mask_of(staircase, q), 0.6)
    assert found.output.vectors is not None and found.input.vectors is not None
    report = edit_lean(weight, found.output.vectors, found.input.vectors, staircase, 0.6)
    assert torch.allclose(weight.double(), expected.double(), rtol=2 * torch.finfo(dtype).eps, atol=1e-7)
    for name, value in known.as_dict().items():
        assert report.as_dict()[name] == pytest.approx(value, rel=1e-4), name
    whole = stored.clone()
    assert edit_lean(stored, torch.eye(300).double(), torch.eye(270).double(), torch.full((300,), 270)).change_norm == 0
    assert torch.equal(whole, stored)


def test_factors_are_read_one_matrix_at_a_time(net: Any, batch: Any, tokens: Any, tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    kept = fit(net, find_layers(net, ["*"]), tokens(), [batch], seed=0)
    kept.save(path)
    stored = StoredFactors.open(path)
    assert stored.shapes == {"fc1": (5, 4), "head": (3, 5)}
    assert torch.equal(stored.read("fc1", "g"), kept.layers["fc1"].g)
    assert torch.equal(stored.read("head", "a"), kept.layers["head"].a)
    assert stored.metadata == kept.metadata == Factors.load(path).metadata
    assert stored.check_weight("fc1", net.fc1.weight)
    with pytest.raises(InputError, match="layer 'fc1' had other weights"):
        stored.check_weight("fc1", net.fc1.weight + 1e-9)
    old = Factors(kept.layers, {k: v for k, v in kept.metadata.items() if k != "weights"})
    old.save(path)  # written before weights were told apart: still read, and says so
    assert not StoredFactors.open(path).check_weight("fc1", net.fc1.weight + 1)


def test_a_weight_is_told_by_what_it_would_be_in_another_type() -> None:
    weight = torch.randn(300, 8, generator=torch.Generator().manual_seed(0))
    narrow = weight.bfloat16()
    assert weight_fingerprint(weight, torch.bfloat16) == weight_fingerprint(narrow)
    assert weight_fingerprint(narrow, torch.float32) == weight_fingerprint(narrow.float())
    assert weight_fingerprint(weight).startswith("float32 ")
    assert len({weight_fingerprint(x) for x in (weight, narrow, weight.T, -weight)}) == 4


def test_files_that_are_not_factors(tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    with pytest.raises(InputError, match=r"f\.safetensors: no such file"):
        StoredFactors.open(path)
    save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(InputError, match=r"not a whole file of factors \('numbers'\); collect the statistics again"):
        StoredFactors.open(path)
    numbers = {"numbers": json.dumps({"x": {"count": 1}})}
    tensors = {"x::a": torch.full((2, 2), math.nan), "x::g": torch.ones(3, 3, dtype=torch.int64)}
    save_file(tensors, path, numbers)
    with pytest.raises(InputError, match="its header has changed since it was written"):
        StoredFactors.open(path)
    save_file(tensors, path, sealed(tensors, numbers))
    with pytest.raises(VitmemError, match="NaN or infinity in 'a' of layer 'x'"):
        StoredFactors.open(path).read("x", "a")
    with pytest.raises(InputError, match="expected a tensor of type F64, F32, F16, BF16, got I64"):
        StoredFactors.open(path).read("x", "g")


def test_a_tensor_is_overwritten_and_its_neighbours_stay(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    dtypes = {"a": torch.half, "b": torch.bfloat16, "c": torch.float}
    tensors = {name: torch.randn(5, 3).to(dtype) for name, dtype in dtypes.items()}
    save_file(tensors, path, {"format": "pt"})
    stored, metadata = stored_tensors(path)
    assert metadata == {"format": "pt"}
    assert all(torch.equal(stored[name].read(), tensor) for name, tensor in tensors.items())
    stored["b"].overwrite(tensors["b"] * 2, path)
    read = load_file(path)
    assert torch.equal(read["b"], tensors["b"] * 2)
    assert torch.equal(read["a"], tensors["a"]) and torch.equal(read["c"], tensors["c"])
