"""The cost of the statistics of a language model, as a ratio within one run: asserts what the engine promises.

gate, up and down of the last three blocks of a Llama of 135 M parameters (the sizes of SmolLM2, random
weights), float32. The floor is the forward pass and the backward pass down to the lowest edited block of the
same batches with frozen weights. The ratio is the median over interleaved repeats.

- statistics: at most 1.3 floors
- aᵀa of gate and up, which read the same tensor, is made once
- no logits larger than one chunk
"""

from __future__ import annotations

import statistics
import sys
import time

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from vitmem.adapters.language import LanguageTask, language_task
from vitmem.kfac import find_layers, fit
from vitmem.kfac.moments import LayerMoments
from vitmem.models.language_layers import mlp_layers

assert sys.modules["vitmem.kfac.fit"]
CHUNK = sys.modules["vitmem.kfac.fit"].CHUNK
BATCHES, ROWS, LENGTH, REPEATS, LIMIT = 4, 4, 128, 5, 1.3
BLOCKS = (27, 28, 29)


def setting() -> tuple[nn.Module, list[dict[str, Tensor]]]:
    """Return the model in eval mode, frozen, and batches of tokens (4, 128)."""
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    ids = [torch.randint(config.vocab_size, (ROWS, LENGTH), generator=generator) for _ in range(BATCHES)]
    return model, [{"input_ids": tokens} for tokens in ids]


def floor(model: nn.Module, batches: list[dict[str, Tensor]]) -> None:
    """Run forward, and backward from the loss to the input of the lowest edited block."""
    lowest = model.get_submodule(f"model.layers.{min(BLOCKS)}")
    handle = lowest.register_forward_pre_hook(lambda _block, args: (args[0].detach().requires_grad_(), *args[1:]))
    for batch in batches:
        logits = model(**batch, use_cache=False).logits[:, :-1]
        functional.cross_entropy(logits.flatten(0, 1), batch["input_ids"][:, 1:].flatten(), reduction="sum").backward()
    handle.remove()


def main() -> None:
    """Time both in turn, count products and rows of logits, then print and assert."""
    model, batches = setting()
    layers = find_layers(model, mlp_layers(model, BLOCKS, ("gate", "up", "down")))
    task = language_task(model)
    made: list[bool] = []
    largest: list[int] = []
    add_inputs, logits = LayerMoments.add_inputs, LanguageTask.logits

    def counted_inputs(self: LayerMoments, rows: Tensor, product: Tensor | None = None) -> None:
        made.append(product is None)
        add_inputs(self, rows, product)

    def counted_logits(self: LanguageTask, net: nn.Module, features: Tensor) -> Tensor:
        out = logits(self, net, features)
        largest.append(out.numel())
        return out

    LayerMoments.add_inputs, LanguageTask.logits = counted_inputs, counted_logits  # type: ignore[method-assign]
    times: dict[str, list[float]] = {"floor": [], "statistics": []}
    for repeat in range(REPEATS + 1):
        for name in times:
            made.clear()
            started = time.perf_counter()
            floor(model, batches) if name == "floor" else fit(model, layers, task, batches, seed=0)
            if repeat:  # the first one warms up
                times[name].append(time.perf_counter() - started)
    ratio = statistics.median(s / f for s, f in zip(times["statistics"], times["floor"], strict=True))
    tokens = BATCHES * ROWS * LENGTH
    print(", ".join(f"{name} {statistics.median(t):.2f} s for {tokens} tokens" for name, t in times.items()))
    print(f"statistics / floor: {ratio:.2f} (limit {LIMIT})")
    # gate and up are given one product between them, down makes its own
    print(f"products of inputs: {sum(made)} made, {len(made) - sum(made)} shared")
    print(f"largest logits: {max(largest)} numbers (limit {CHUNK})")
    assert task.split and max(largest) <= CHUNK
    assert len(made) == 3 * len(BLOCKS) * BATCHES and sum(made) == len(BLOCKS) * BATCHES
    assert ratio <= LIMIT


if __name__ == "__main__":
    main()
