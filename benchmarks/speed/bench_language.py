"""The cost of the statistics of a language model, as a ratio within one run: asserts the limits of the engine.

gate, up and down of the last three blocks of a Llama of 135 M parameters (the sizes of SmolLM2, random
weights), float32. The floor is the forward pass and the backward pass down to the lowest edited block of the
same batches with frozen weights. Times are the least CPU seconds of one thread over interleaved repeats. ``--quick``:
four blocks, short rows, a twelfth of the vocabulary, a wide limit.

- statistics: at most 1.3 floors
- aᵀa is computed once for gate and up, which share their input
- no logits larger than one chunk
"""

from __future__ import annotations

import sys

import torch
from timing import Claims, assert_claims, least_seconds, options
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from vitmem.kfac import find_layers, fit
from vitmem.kfac.moments import LayerMoments
from vitmem.language.models.language_layers import mlp_layers
from vitmem.language.task import LanguageTask, language_task

assert sys.modules["vitmem.kfac.fit"]
CHUNK = sys.modules["vitmem.kfac.fit"].CHUNK
BATCHES, ROWS, LENGTH, LIMIT, QUICK_LIMIT = 4, 4, 128, 1.3, 3.0
EDITED = 3


def setting(quick: bool) -> tuple[nn.Module, list[dict[str, Tensor]]]:
    """Return the model in eval mode, frozen, and batches of tokens (4, 128)."""
    config = LlamaConfig(
        vocab_size=4096 if quick else 49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=4 if quick else 30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    shape = ROWS, LENGTH // 4 if quick else LENGTH
    ids = [torch.randint(config.vocab_size, shape, generator=generator) for _ in range(BATCHES)]
    return model, [{"input_ids": tokens} for tokens in ids]


def floor(model: nn.Module, batches: list[dict[str, Tensor]]) -> None:
    """Run forward, and backward from the loss to the input of the lowest edited block."""
    lowest = model.get_submodule(f"model.layers.{model.config.num_hidden_layers - EDITED}")
    handle = lowest.register_forward_pre_hook(lambda _block, args: (args[0].detach().requires_grad_(), *args[1:]))
    for batch in batches:
        logits = model(**batch, use_cache=False).logits[:, :-1]
        functional.cross_entropy(logits.flatten(0, 1), batch["input_ids"][:, 1:].flatten(), reduction="sum").backward()
    handle.remove()


def main() -> None:
    """Count products and rows of logits, then time both in turn and assert."""
    quick = options(__doc__).parse_args().quick
    model, batches = setting(quick)
    depth = model.config.num_hidden_layers
    layers = find_layers(model, mlp_layers(model, range(depth - EDITED, depth), ("gate", "up", "down")))
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
    fit(model, layers, task, batches, seed=0)
    # gate and up share one product, down has its own
    print(f"products of inputs: {sum(made)} made, {len(made) - sum(made)} shared")
    print(f"largest logits: {max(largest)} numbers (limit {CHUNK})")
    assert task.split and max(largest) <= CHUNK
    assert len(made) == 3 * EDITED * BATCHES and sum(made) == EDITED * BATCHES

    tokens = sum(batch["input_ids"].numel() for batch in batches)

    def ratio() -> Claims:
        contenders = {"floor": lambda: floor(model, batches), "all": lambda: fit(model, layers, task, batches, seed=0)}
        times = least_seconds(contenders, 2 if quick else 5)
        print(f"floor {times['floor']:.2f} s, statistics {times['all']:.2f} s for {tokens} tokens")
        return {"statistics / floor": (times["all"] / times["floor"], QUICK_LIMIT if quick else LIMIT)}

    assert_claims(ratio)


if __name__ == "__main__":
    main()
