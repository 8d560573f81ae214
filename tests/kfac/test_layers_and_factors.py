"""Finding layers by path; factors that are kept, read back, and refused for another model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from transformers.pytorch_utils import Conv1D

from vitmem.errors import InputError
from vitmem.kfac import Factors, find_layers, fit, model_fingerprint


def test_layers_by_pattern_in_the_order_of_the_model() -> None:
    net = VisionTransformer(img_size=8, patch_size=4, embed_dim=8, depth=3, num_heads=2, num_classes=3)
    found = find_layers(net, ["blocks.[12].mlp.*", "blocks.0.attn.qkv", "blocks.0.attn.proj"])
    assert list(found) == [
        "blocks.0.attn.qkv",
        "blocks.0.attn.proj",
        "blocks.1.mlp.fc1",
        "blocks.1.mlp.fc2",
        "blocks.2.mlp.fc1",
        "blocks.2.mlp.fc2",
    ]


def test_conv1d_is_told_by_class_and_never_by_shape() -> None:
    class Square(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(4, 4))

    net = nn.ModuleDict({"conv": Conv1D(4, 4), "square": Square()})
    assert list(find_layers(net, ["conv"])) == ["conv"]
    with pytest.raises(InputError, match="matches only Square"):
        find_layers(net, ["square"])


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("fc3", "matches nothing, expected linear layers or convolutions; did you mean 'fc1'?"),
        ("drop", "matches only Dropout"),
    ],
)
def test_a_pattern_that_matches_nothing(net: Any, pattern: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        find_layers(net, ["fc1", pattern])
    assert says in str(caught.value)


@pytest.mark.parametrize("moments", ["plain", "coupled"])
def test_factors_are_read_back_bit_by_bit(net: Any, batch: Any, tokens: Any, tmp_path: Path, moments: Any) -> None:
    layers = find_layers(net, ["*"])
    kept = fit(net, layers, tokens(), [batch], seed=3, moments=moments, metadata={"data": "abc", "positions": "all"})
    kept.save(tmp_path / "f.safetensors")
    read = Factors.load(tmp_path / "f.safetensors")
    read.check(net, layers)
    assert read.metadata == kept.metadata
    assert {"labels", "seed", "dtype", "model", "data", "positions"} <= set(read.metadata)
    for path, layer in kept.layers.items():
        for name, value in vars(layer).items():
            other = getattr(read.layers[path], name)
            assert torch.equal(other, value) if isinstance(value, torch.Tensor) else other == value


def test_factors_of_another_model_are_refused_with_the_reason(net: Any, batch: Any, tokens: Any) -> None:
    layers = find_layers(net, ["fc1"])
    factors = fit(net, layers, tokens(), [batch], seed=0)
    with pytest.raises(InputError, match="no statistics of layer 'head'"):
        factors.check(net, find_layers(net, ["*"]))
    with torch.no_grad():
        net.head.bias[0] += 1
    with pytest.raises(InputError, match="they are of another model"):
        factors.check(net, layers)
    net.fc1 = nn.Linear(4, 7).double()
    with pytest.raises(InputError, match="layer 'fc1' is 7 x 4, the statistics are of a 5 x 4 layer"):
        factors.check(net, find_layers(net, ["fc1"]))


def test_a_torn_file_is_one_sentence(net: Any, batch: Any, tokens: Any, tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    fit(net, find_layers(net, ["fc1"]), tokens(), [batch], seed=0).save(path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        Factors.load(path)
    with pytest.raises(InputError, match="no such file"):
        Factors.load(tmp_path / "nowhere")


def test_the_fingerprint_sees_names_types_and_every_value(net: Any) -> None:
    first = model_fingerprint(net)
    assert model_fingerprint(net) == first
    net.fc1.weight.data[0, 0] = torch.nextafter(net.fc1.weight.data[0, 0], torch.tensor(9.0, dtype=torch.float64))
    second = model_fingerprint(net)
    assert second != first
    assert model_fingerprint(net.float()) != second
