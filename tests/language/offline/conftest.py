"""Tiny models of transformers, their folders and their statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from vitmem.kfac import Factors, find_layers, fit
from vitmem.language.models.language_layers import mlp_layers
from vitmem.language.task import language_task

WORDS = [f"w{n}" for n in range(30)]


@dataclass
class Saved:
    """A model, the folder it was saved to, its statistics and their file."""

    model: nn.Module
    folder: Path
    factors: Factors
    file: Path


def llama(dtype: torch.dtype) -> nn.Module:
    sizes = {"hidden_size": 16, "intermediate_size": 40, "num_hidden_layers": 3, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=32, max_position_embeddings=64, **sizes)).to(dtype)


def gpt2(dtype: torch.dtype) -> nn.Module:
    """Inner width as the outer one: the shape of c_fc says nothing of how it lies."""
    sizes = {"n_embd": 16, "n_inner": 16, "n_layer": 3, "n_head": 2}
    return GPT2LMHeadModel(GPT2Config(vocab_size=32, n_positions=64, **sizes)).to(dtype)


BUILD: dict[str, Callable[[torch.dtype], nn.Module]] = {"llama": llama, "gpt2": gpt2}


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Saved]:
    """Return what builds a model, saves it (in shards of ``size``) with a tokenizer, and fits its last two blocks."""

    def make(name: str, dtype: torch.dtype = torch.float32, size: str = "5GB", **options: Any) -> Saved:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = BUILD[name](dtype).eval()
        folder = tmp_path / name
        model.save_pretrained(folder, max_shard_size=size)  # type: ignore[operator]
        save_tokenizer(folder)
        generator = torch.Generator().manual_seed(1)
        batches = [{"input_ids": torch.randint(32, (4, 33), generator=generator)} for _ in range(3)]
        layers = find_layers(model, mlp_layers(model, [1, 2]))
        factors = fit(model, layers, language_task(model), batches, seed=0, **options)
        file = tmp_path / f"{name}.safetensors"
        factors.save(file)
        return Saved(model, folder, factors, file)

    return make


def save_tokenizer(folder: Path) -> None:
    """Write a tokenizer that knows the words w0 to w29."""
    words = Tokenizer(models.WordLevel({w: n for n, w in enumerate(["<unk>", "<s>", *WORDS])}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", bos_token="<s>").save_pretrained(folder)
