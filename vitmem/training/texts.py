"""Train a language model on rows of tokens, and what it says of items: answers, strings, held-out text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from vitmem.data.text_module import RowsModule
from vitmem.data.texts import Items, TextData
from vitmem.kfac.modes import evaluating
from vitmem.specs import Recipe
from vitmem.training.curves import Curves
from vitmem.training.fit import CURVES, learn, steps
from vitmem.training.module import Learner, NextToken


def train_texts(
    net: nn.Module,
    data: TextData,
    recipe: Recipe,
    seed: int,
    folder: Path,
    *,
    device: str = "auto",
    progress: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> float:
    """Train ``net`` in place on the rows of ``data``; see ``vitmem.training.fit.train``."""
    rows = RowsModule(data.train, batch_size=recipe.batch_size, seed=seed)
    module = NextToken(net, recipe, *steps(recipe, rows.count), seed, padding=data.padding)

    def measure(learner: Learner) -> dict[str, float]:
        asked = {"memorized": data.memorized, **data.items}
        return {name: float(right(learner.net, items).double().mean()) for name, items in asked.items()}

    curves = Curves(folder / CURVES, recipe.curve_every, measure, say)
    return learn(module, rows, curves, folder, device=device, progress=progress)


@torch.no_grad()
def next_tokens(net: nn.Module, tokens: Tensor, batch_size: int = 200) -> tuple[Tensor, Tensor]:
    """Return the likeliest next token and the loss (nats) of the real one at the first S - 1 positions.

    Both are (n, S - 1), int64 and float32, on the CPU, for ``tokens`` (n, S); the network is in eval mode.
    """
    device = next(net.parameters()).device
    said, losses = [], []
    with evaluating(net):
        for some in tokens.split(batch_size):
            batch = some.to(device)
            logits = net(input_ids=batch, use_cache=False).logits[:, :-1].float()  # (B, S - 1, K)
            said.append(logits.argmax(2).cpu())
            losses.append(functional.cross_entropy(logits.transpose(1, 2), batch[:, 1:], reduction="none").cpu())
    return torch.cat(said), torch.cat(losses)


def right(net: nn.Module, items: Items) -> Tensor:
    """Return whether every token of each answer is the likeliest, (n,) bool.

    When each is, given the right ones before it, greedy decoding says the answer, and conversely.
    """
    said, _ = next_tokens(net, items.tokens)
    wrong = (said != items.tokens[:, 1:]) & items.answer[:, 1:]
    return ~wrong.any(1)


def recite(net: nn.Module, items: Items, batch_size: int = 200) -> Tensor:
    """Decode greedily from what stands before each answer, exactly as many tokens: (n, L) int64 on the CPU.

    All answers have the same length L and the same place.
    """
    places = torch.nonzero(items.answer[0]).flatten()
    return decode(net, items.tokens[:, : int(places[0])], len(places), batch_size)


@torch.no_grad()
def decode(net: nn.Module, prompts: Tensor, length: int, batch_size: int) -> Tensor:
    """Decode greedily ``length`` tokens behind each of ``prompts`` (n, P), whatever they are: (n, length) int64, CPU.

    No token ends the text early, so what is said of one prompt does not depend on the others.
    """
    device = next(net.parameters()).device
    out = []
    with evaluating(net):
        for some in prompts.split(batch_size):
            tokens, cache, said = some.to(device), None, []
            for _ in range(length):
                step = net(input_ids=tokens, past_key_values=cache, use_cache=True)
                tokens, cache = step.logits[:, -1].argmax(1, keepdim=True), step.past_key_values
                said.append(tokens)
            out.append(torch.cat(said, 1).cpu())
    return torch.cat(out)
