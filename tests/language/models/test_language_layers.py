"""MLPs of language models found by role; what has none that can be edited is refused with a way out."""

from __future__ import annotations

import re
from typing import Any

import pytest
from torch import nn

from vitmem.errors import InputError
from vitmem.kfac import find_layers
from vitmem.language.models.language_layers import language_blocks, mlp_layers

GATED = ["gate_proj", "up_proj", "down_proj"]
ALL = ("gate", "up", "gate_up", "down")


@pytest.mark.parametrize(
    ("kind", "place", "names"),
    [
        ("Llama", "model.layers.2.mlp.", GATED),
        ("Gemma", "model.layers.2.mlp.", GATED),
        ("Gemma2", "model.layers.2.mlp.", GATED),
        ("Gemma3Text", "model.layers.2.mlp.", GATED),
        ("Qwen2", "model.layers.2.mlp.", GATED),
        ("Qwen3", "model.layers.2.mlp.", GATED),
        ("Olmo2", "model.layers.2.mlp.", GATED),
        ("Phi3", "model.layers.2.mlp.", ["gate_up_proj", "down_proj"]),
        ("GPT2", "transformer.h.2.mlp.", ["c_fc", "c_proj"]),
        ("GPTNeoX", "gpt_neox.layers.2.mlp.", ["dense_h_to_4h", "dense_4h_to_h"]),
        ("OPT", "model.decoder.layers.2.", ["fc1", "fc2"]),
    ],
)
def test_matrices_by_role(tiny: Any, kind: str, place: str, names: list[str]) -> None:
    model = tiny(kind)
    assert len(language_blocks(model)) == 3
    expected = [f"{place}{name}" for name in names]
    assert sorted(mlp_layers(model, "last", ALL)) == sorted(expected)
    assert mlp_layers(model, "last", ("down",)) == expected[-1:]
    assert sorted(mlp_layers(model, "last")) == sorted(expected[:-1])  # without down, as in the paper
    assert sorted(find_layers(model, expected)) == sorted(expected)


def test_a_role_that_is_not_there(tiny: Any) -> None:
    with pytest.raises(InputError, match="no matrix of role down_proj; it has down, gate, up"):
        mlp_layers(tiny("Llama"), "last", ("down_proj",))  # type: ignore[arg-type]


FEW = {"num_experts": 4, "num_experts_per_tok": 2}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("Mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}),
        ("Olmoe", FEW),
        ("Qwen2Moe", {**FEW, "moe_intermediate_size": 6, "shared_expert_intermediate_size": 6}),
        ("Qwen3Moe", {**FEW, "moe_intermediate_size": 6}),
    ],
)
def test_a_mixture_of_experts_is_refused_with_a_way_out(tiny: Any, kind: str, options: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        mlp_layers(tiny(kind, **options), "first")
    says = str(caught.value)
    # Mixtral's name for it before transformers 5 is the second one
    assert re.match(r"block 'model.layers.0': '(mlp|block_sparse_moe).experts' is a mixture of experts", says)
    assert "edit a dense model, or the attention projections by pattern" in says and "\n" not in says


def test_the_way_out_works(tiny: Any) -> None:
    model = tiny("Qwen3Moe", **FEW, moe_intermediate_size=6)
    assert list(find_layers(model, ["model.layers.2.self_attn.[qk]_proj"])) == [
        "model.layers.2.self_attn.q_proj",
        "model.layers.2.self_attn.k_proj",
    ]


def test_packed_weights_have_a_way_out(tiny: Any) -> None:
    class Packed(nn.Module):
        """As GPTQ and AWQ do: no linear layer at all."""

    model = tiny("Llama")
    model.model.layers[0].mlp.gate_proj = Packed()
    with pytest.raises(InputError, match=r"'mlp.gate_proj' is a Packed, no linear layer .*bfloat16"):
        mlp_layers(model, "first", ("gate",))
