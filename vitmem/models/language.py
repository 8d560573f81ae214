"""Language models to train from scratch: what they are built for, what they say of themselves, a Llama by size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from vitmem.blocks import Blocks, layer_patterns
from vitmem.extras import extra


@dataclass(frozen=True)
class TextShape:
    """What a network is built for: ``vocab_size`` tokens in rows of at most ``length``."""

    vocab_size: int
    length: int


@dataclass
class LanguageModel:
    """A causal model of transformers and where its editable layers are; fields as in ``VisionModel``.

    ``net(input_ids=...)`` gives logits (B, S, vocab_size).
    """

    net: nn.Module
    blocks: tuple[str, ...]
    layers: tuple[str, ...]

    def editable(self, blocks: Blocks, layers: Sequence[str] | None = None) -> list[str]:
        """Return the patterns of the editable layers in ``blocks``; raises InputError for a number out of range."""
        return layer_patterns(self.blocks, layers or self.layers, blocks)


def llama(shape: TextShape, *, width: int = 128, depth: int = 4, heads: int = 4, mlp_width: int = 352) -> LanguageModel:
    """Build a Llama (RMS norms, rotary positions, gated MLPs without biases) that edits gate and up (Merullo et al.).

    Raises InputError when transformers is not installed.
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
