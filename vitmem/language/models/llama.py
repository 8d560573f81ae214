"""A Llama by size over transformers' LlamaForCausalLM."""

from __future__ import annotations

from vitmem.language.models.base import LanguageModel, TextShape
from vitmem.lazy import extra
from vitmem.models.vit import Count
from vitmem.registry import MODELS


@MODELS.register("llama", summary="a Llama by size, trained from scratch (needs vitmem[lm])", protocols=("text",))
def llama(
    shape: TextShape, *, width: Count = 128, depth: Count = 4, heads: Count = 4, mlp_width: Count = 352
) -> LanguageModel:
    """Build a Llama (RMS norms, rotary positions, gated MLPs without biases) that edits gate and up (Merullo et al.).

    ``width`` is that of tokens, ``mlp_width`` of the MLPs, ``depth`` the number of blocks, ``heads`` that of attention
    heads. Raises InputError when transformers is not installed.
    """
    transformers = extra("transformers", "lm")
    config = transformers.LlamaConfig(
        vocab_size=shape.vocab_size,
        hidden_size=width,
        intermediate_size=mlp_width,
        num_hidden_layers=depth,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=shape.length,
        tie_word_embeddings=False,
        attn_implementation="sdpa",
    )
    net = transformers.LlamaForCausalLM(config)
    blocks = tuple(f"model.layers.{n}" for n in range(depth))
    return LanguageModel(net, blocks, layers=("mlp.gate_proj", "mlp.up_proj"))
