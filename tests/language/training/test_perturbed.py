"""Perturbed prompts against greedy decoding of every one of them, and what one pass over logits reads."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import vitmem.language.training.texts as module
from vitmem.language.data.texts import Items
from vitmem.language.models.base import TextShape, build_language
from vitmem.language.training.perturbed import perturbed_prefix, shift_of
from vitmem.language.training.texts import next_tokens, predict_tokens
from vitmem.registry import MODELS

# one token that begins a row, 11 to prompt with, an answer of 8, and padding
START, END, VOCABULARY = 12, 20, 14


@pytest.fixture(scope="module")
def learned() -> tuple[nn.Module, Items]:
    """A Llama that has learned half of its strings, some better than others."""
    params = MODELS.get("llama").parse({"width": 32, "depth": 1, "heads": 2, "mlp_width": 32}, "model")
    net = build_language(params, TextShape(VOCABULARY, END + 1), 0).net
    tokens = torch.randint(2, VOCABULARY, (8, END + 1), generator=torch.Generator().manual_seed(0))
    tokens[:, 0], tokens[:, -1] = 1, 0
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(80):
        optimizer.zero_grad()
        functional.cross_entropy(net(input_ids=tokens[:4]).logits[:, :-1].transpose(1, 2), tokens[:4, 1:]).backward()
        optimizer.step()
    answer = torch.zeros_like(tokens, dtype=torch.bool)
    answer[:, START:END] = True
    return net, Items(tokens, answer, torch.ones(8, dtype=torch.int64))


@torch.no_grad()
def greedy(net: nn.Module, prompt: Tensor, gold: Tensor) -> int:
    """Decode token by token without a cache; return how many tokens of the beginning are those of ``gold``."""
    tokens = prompt[None]
    for _ in gold:
        tokens = torch.cat([tokens, net(input_ids=tokens, use_cache=False).logits[:, -1].argmax(1, keepdim=True)], 1)
    equal = tokens[0, len(prompt) :] == gold
    return int(equal.long().cumprod(0).sum())


def test_one_pass_finds_what_greedy_decoding_of_every_prompt_finds(learned: tuple[nn.Module, Items]) -> None:
    net, items = learned
    expected = []
    for row in items.tokens:
        prompts = [(row[: START + shown], row[START + shown : END]) for shown in range(1, 4)]
        prompts += [(torch.cat([row[:1], row[START - kept : START]]), row[START:END]) for kept in range(4, 11)]
        expected.append(max(greedy(net, prompt, gold) for prompt, gold in prompts))
    found = perturbed_prefix(net, items).tolist()
    assert found == expected
    assert len(set(found)) > 2 and max(found) > 4


@pytest.mark.parametrize(
    ("prompt", "answer", "shift"), [(64, 48, 20), (200, 48, 20), (27, 27, 8), (2, 9, 1), (64, 8, 7), (5, 1, 0)]
)
def test_shifts(prompt: int, answer: int, shift: int) -> None:
    assert shift_of(prompt, answer) == shift


def test_a_few_positions_at_a_time_read_the_same(
    learned: tuple[nn.Module, Items], monkeypatch: pytest.MonkeyPatch
) -> None:
    net, items = learned
    with torch.no_grad():
        logits = net.eval()(input_ids=items.tokens).logits[:, :-1]
    expected = functional.cross_entropy(logits.flatten(0, 1), items.tokens[:, 1:].flatten(), reduction="none")
    order = logits.argsort(2, descending=True)
    for chunk in (1, 3 * VOCABULARY * 5, 2**23):
        monkeypatch.setattr(module, "CHUNK", chunk)
        found = predict_tokens(net, items.tokens, 10, batch_size=3)
        assert torch.equal(found.said, order[..., 0]) and torch.equal(found.top.long(), order[..., :10])
        torch.testing.assert_close(found.loss.flatten(), expected)
        said, loss = next_tokens(net, items.tokens, batch_size=3)
        assert torch.equal(said, found.said) and torch.equal(loss, found.loss)
    assert predict_tokens(net, items.tokens, 99).top.shape == (8, END, VOCABULARY)
