"""Half of a symmetric matrix is kept, and all of it is read back to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vitmem.errors import InputError
from vitmem.kfac import Factors, LayerFactors, StoredFactors
from vitmem.kfac.packed import packed, packed_length, unpacked
from vitmem.kfac.sealed import sealed


def symmetric(size: int, seed: int = 0) -> Tensor:
    rows = torch.randn(size + 3, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    product = rows.T @ rows
    return (product + product.T) / 2


@pytest.mark.parametrize("size", [1, 63, 64, 65, 200])
def test_what_is_packed_comes_back_to_the_bit(size: int) -> None:
    matrix = symmetric(size)
    half = packed(matrix)
    assert half.shape == (packed_length(size),) and torch.equal(unpacked(half, size), matrix)
    assert len(half) <= (size * (size + 1) + 64 * size) / 2


def test_a_halved_file_holds_the_same_statistics_in_half_the_space(tmp_path: Path) -> None:
    layer = LayerFactors(
        7, symmetric(300), symmetric(200, 1), a_coupled=symmetric(300, 2), a_diagonal=torch.rand(300), trace=2.5
    )
    found = Factors({"fc1": layer}, {"model": "abc"})
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    found.save(whole), found.save(half, halved=True)
    assert half.stat().st_size < 0.65 * whole.stat().st_size
    read = Factors.load(half)
    assert read.metadata == Factors.load(whole).metadata == found.metadata
    for name in ("a", "g", "a_coupled", "a_diagonal"):
        assert torch.equal(getattr(read.layers["fc1"], name), getattr(layer, name))
    assert read.layers["fc1"].trace == 2.5 and read.layers["fc1"].count == 7
    opened = StoredFactors.open(half)
    assert opened.shapes == {"fc1": (200, 300)} and opened.metadata == found.metadata
    assert torch.equal(opened.read("fc1", "a"), layer.a) and torch.equal(opened.read("fc1", "g"), layer.g)


def test_what_is_not_symmetric_is_kept_whole(tmp_path: Path) -> None:
    odd = symmetric(100)
    odd[3, 70] += 1
    Factors({"fc1": LayerFactors(1, odd, symmetric(5))}).save(tmp_path / "odd.safetensors", halved=True)
    assert torch.equal(Factors.load(tmp_path / "odd.safetensors").layers["fc1"].a, odd)


def test_half_a_matrix_of_another_size_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    Factors({"fc1": LayerFactors(1, symmetric(100), symmetric(5))}).save(path, halved=True)
    tensors = load_file(path)
    facts = {"numbers": '{"fc1": {"count": 1}}', "halved": '{"fc1::a": 101, "fc1::g": 5}'}
    save_file(tensors, path, sealed(tensors, facts))
    for read in (Factors.load, lambda p: StoredFactors.open(p).read("fc1", "a")):
        with pytest.raises(InputError, match="half a matrix of 101 rows has 7833 numbers"):
            read(path)
