"""Train a language model on rows of tokens, and what it says of items: answers, strings, held-out text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from vitmem.kfac import wide
from vitmem.kfac.layers import eval_mode
from vitmem.language.data.text_module import RowsModule
from vitmem.language.data.texts import AT_ONCE, Items, TextData
from vitmem.recipe import Recipe
from vitmem.training.fit import learn, steps
from vitmem.training.module import Learner

# Logits that are read at a time: 32 MiB in float32.
CHUNK = 2**23


def train_texts(
    net: nn.Module,
    data: TextData,
    recipe: Recipe,
    seed: int,
    folder: Path,
    *,
    device: str = "auto",
) -> float:
    """Train ``net`` in place on the rows of ``data``; see ``vitmem.training.fit.train``."""
    asked = {"memorized": data.memorized, **data.items}
    rows = RowsModule(data.train, asked, batch_size=recipe.batch_size, seed=seed)
    module = NextToken(net, recipe, *steps(recipe, rows.count), seed, names=tuple(asked))
    return learn(module, rows, folder, device=device)


class NextToken(Learner):
    """Cross-entropy on the next token. A batch is tokens and labels (B, S) int64, -100 where there is no loss."""

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return the mean over the tokens that follow another and have a loss, a scalar."""
        tokens, labels = batch
        logits = self(input_ids=tokens, use_cache=False).logits[:, :-1]  # (B, S - 1, K)
        smoothing = self.recipe.label_smoothing
        return functional.cross_entropy(wide(logits.flatten(0, 1)), labels[:, 1:].flatten(), label_smoothing=smoothing)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Measure tokens and answers (B, S) of what has the name of this number."""
        # what a network says is read in float32 everywhere, whatever it was trained with
        with torch.autocast(self.device.type, enabled=False):
            self.saw(list(self.shares)[dataloader_idx], _right(self.net, *batch))


class Predicted(NamedTuple):
    """Next tokens: the likeliest (n, T) int64, losses (n, T) float32 nats, the k likeliest in order (n, T, k) int32."""

    said: Tensor
    loss: Tensor
    top: Tensor


@torch.no_grad()
def predict_tokens(net: nn.Module, tokens: Tensor, top: int, batch_size: int = AT_ONCE) -> Predicted:
    """Return the likeliest next token, the loss of the real one and the ``top`` likeliest, from one forward pass.

    All are of the first S - 1 positions of ``tokens`` (n, S), on the CPU; the network is in eval mode.
    """
    device = next(net.parameters()).device
    parts = []
    with eval_mode(net):
        for some in tokens.split(batch_size):
            batch = some.to(device)
            parts.append(_read(net(input_ids=batch, use_cache=False).logits[:, :-1], batch[:, 1:], top))
    return _joined(parts, 0)


def _read(logits: Tensor, real: Tensor, top: int) -> Predicted:
    """Read logits (B, T, K) of the tokens ``real`` (B, T), a few positions at a time: no second copy of them all."""
    size = max(1, CHUNK // (len(logits) * logits.shape[2]))
    parts = []
    for some, token in zip(logits.split(size, 1), real.split(size, 1), strict=True):
        wide = some.float()
        loss = functional.cross_entropy(wide.transpose(1, 2), token, reduction="none")
        likeliest = wide.topk(min(top, wide.shape[2]), 2).indices
        parts.append(Predicted(wide.argmax(2).cpu(), loss.cpu(), likeliest.to("cpu", torch.int32)))
    return _joined(parts, 1)


def _joined(parts: Sequence[Predicted], dim: int) -> Predicted:
    return Predicted(*(torch.cat(tensors, dim) for tensors in zip(*parts, strict=True)))


def next_tokens(net: nn.Module, tokens: Tensor, batch_size: int = AT_ONCE) -> tuple[Tensor, Tensor]:
    """Return the likeliest next token and the loss (nats) of the real one at the first S - 1 positions.

    Both are (n, S - 1), int64 and float32, on the CPU, for ``tokens`` (n, S); the network is in eval mode.
    """
    return predict_tokens(net, tokens, 0, batch_size)[:2]


def right(net: nn.Module, items: Items) -> Tensor:
    """Return whether every token of each answer is the likeliest, (n,) bool.

    When each is, given the right ones before it, greedy decoding says the answer, and conversely.
    """
    return torch.cat([_right(net, *batch) for batch in items.batches()])


def _right(net: nn.Module, tokens: Tensor, answer: Tensor) -> Tensor:
    """Return ``right``, (B,) bool on the CPU, of tokens and answers (B, S)."""
    said, _ = next_tokens(net, tokens)
    wrong = (said != tokens[:, 1:].cpu()) & answer[:, 1:].cpu()
    return ~wrong.any(1)


def recite(net: nn.Module, items: Items, batch_size: int = AT_ONCE) -> Tensor:
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
    with eval_mode(net):
        for some in prompts.split(batch_size):
            tokens, said = some.to(device), []
            seen: dict[str, Any] = {}
            for _ in range(length):
                step = net(input_ids=tokens, use_cache=True, **seen)
                tokens = step.logits[:, -1].argmax(1, keepdim=True)
                # transformers calls it past_key_values before 5.24
                name = "cache" if hasattr(step, "cache") else "past_key_values"
                seen = {name: getattr(step, name)}
                said.append(tokens)
            out.append(torch.cat(said, 1).cpu())
    return torch.cat(out)
