"""Language models: statistics against autograd written by hand, padding, roles, what is refused, saved models."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from vitmem.edits.base import EditContext
from vitmem.edits.kfac import Kfac
from vitmem.errors import InputError
from vitmem.kfac import Factors, edited, find_layers, fit
from vitmem.language.models.language_layers import mlp_layers
from vitmem.language.task import LanguageTask, language_task

ALL = ("gate", "up", "gate_up", "down")


def ids(count: int, length: int, seed: int = 0) -> Tensor:
    return torch.randint(3, 23, (count, length), generator=torch.Generator().manual_seed(seed))


class Added(nn.Module):
    """A layer whose output has a tensor of zeros added to it: its gradient is that of the output."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x.detach()
        out = self.layer(x)
        self.zeros = torch.zeros_like(out, requires_grad=True)
        return out + self.zeros


def truth(model: Any, path: str, tokens: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, int]:
    """Return A, G and the number of positions of one layer for unpadded ``tokens`` (B, S) and ``labels`` (B, S)."""
    parent, _, name = path.rpartition(".")
    owner = model.get_submodule(parent)
    layer = getattr(owner, name)
    probe = Added(layer)
    setattr(owner, name, probe)
    try:
        logits = model(tokens).logits[:, :-1]
        losses = functional.cross_entropy(logits.reshape(-1, 23), labels[:, 1:].flatten(), reduction="sum")
        (gradient,) = torch.autograd.grad(losses, probe.zeros)
    finally:
        setattr(owner, name, layer)
    kept = labels[:, 1:] != -100
    a, g = probe.seen[:, :-1][kept], gradient[:, :-1][kept]
    return a.T @ a / len(a), g.T @ g / len(g), len(a)


def same(one: Factors, other: Factors) -> None:
    for path, layer in one.layers.items():
        assert other.layers[path].count == layer.count
        torch.testing.assert_close(other.layers[path].a, layer.a, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(other.layers[path].g, layer.g, rtol=1e-9, atol=1e-12)


def statistics(
    model: Any, batches: list[dict[str, Tensor]], task: LanguageTask | None = None, labels: Any = "given"
) -> Factors:
    layers = find_layers(model, mlp_layers(model, "all", ALL))
    return fit(model, layers, task or language_task(model), batches, seed=0, labels=labels, label_samples=2)


@pytest.mark.parametrize("kind", ["Llama", "GPT2", "Gemma", "Gemma3Text", "Qwen2", "Qwen3", "Olmo2", "Phi3", "GPTNeoX"])
def test_statistics_are_those_of_autograd_token_by_token(tiny: Any, kind: str) -> None:
    model, tokens = tiny(kind), ids(3, 7)
    labels = tokens.clone()
    labels[1, :4] = -100  # a prefix that is not to be predicted
    found = statistics(model, [{"input_ids": tokens, "labels": labels}])
    for path, layer in found.layers.items():
        a, g, count = truth(model, path, tokens, labels)
        assert layer.count == count == 3 * 6 - 3
        torch.testing.assert_close(layer.a, a, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(layer.g, g, rtol=1e-9, atol=1e-12)


MODES = pytest.mark.parametrize("labels", ["given", "sampled", "logit_jacobian"])


@MODES
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", ["Llama", "GPT2"])
def test_padding_changes_nothing(tiny: Any, kind: str, side: str, labels: str) -> None:
    model = tiny(kind)
    long, short = ids(1, 9, 1), ids(1, 5, 2)
    alone = statistics(model, [{"input_ids": long}, {"input_ids": short}], labels=labels)
    padding, ones = torch.zeros(1, 4, dtype=torch.int64), torch.ones_like(short)
    parts = (padding, short) if side == "left" else (short, padding)
    mask = (padding, ones) if side == "left" else (ones, padding)
    batch = {
        "input_ids": torch.cat([long, torch.cat(parts, 1)]),
        "attention_mask": torch.cat([torch.ones_like(long), torch.cat(mask, 1)]),
    }
    same(alone, statistics(model, [batch], labels=labels))


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_changes_nothing(tiny: Any, reentrant: bool) -> None:
    model = tiny("Llama")
    plain = statistics(model, [{"input_ids": ids(2, 6)}])
    calls: list[int] = []

    def checkpointed(number: int, forward: Callable[..., Any]) -> Callable[..., Any]:
        def replayed(hidden: Tensor, **kwargs: Any) -> Any:
            def counted(x: Tensor) -> Any:
                calls.append(number)
                return forward(x, **kwargs)

            return checkpoint(counted, hidden, use_reentrant=reentrant)

        return replayed

    # by hand: those of transformers are off in eval mode
    for number, block in enumerate(model.model.layers):
        block.forward = checkpointed(number, block.forward)
    if reentrant:
        model.enable_input_require_grads()  # or a reentrant checkpoint has no backward pass
    task = LanguageTask(split=True)
    same(plain, statistics(model, [{"input_ids": ids(2, 6)}], task))
    assert calls[:3] == [0, 1, 2] and calls.count(2) == 2  # the last block was run again on the way back


def test_checkpointing_of_transformers_changes_nothing(tiny: Any) -> None:
    model = tiny("Llama")
    plain = statistics(model, [{"input_ids": ids(2, 6)}])
    model.gradient_checkpointing_enable()
    model.train()
    same(plain, statistics(model, [{"input_ids": ids(2, 6)}]))


@MODES
def test_a_head_of_its_own_and_chunks_of_rows_change_nothing(
    tiny: Any, labels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, batch = tiny("Llama"), {"input_ids": ids(3, 7)}
    assert language_task(model) == LanguageTask(split=True)
    whole = statistics(model, [batch], LanguageTask(split=False), labels)
    sizes = []
    real = LanguageTask.logits

    def counted(self: LanguageTask, net: nn.Module, features: Tensor) -> Tensor:
        sizes.append(len(features))
        return real(self, net, features)

    monkeypatch.setattr(LanguageTask, "logits", counted)
    # the package gives its function the module's name
    monkeypatch.setattr(sys.modules["vitmem.kfac.fit"], "CHUNK", 23 * 4)
    same(whole, statistics(model, [batch], labels=labels))
    passes = 1 if labels == "given" else 2
    assert max(sizes) == 4 and sum(sizes) == 1 + 18 * passes  # one row to count the classes


def test_a_model_that_caps_its_logits_is_not_split(tiny: Any) -> None:
    assert language_task(tiny("Gemma2", final_logit_softcapping=30.0)) == LanguageTask(split=False)


def test_a_layer_of_the_head_needs_a_task_that_is_not_split(tiny: Any) -> None:
    model, batch = tiny("Llama", tie_word_embeddings=False), {"input_ids": ids(2, 5)}
    layers = find_layers(model, ["lm_head"])
    both = find_layers(model, ["lm_head", "model.layers.2.mlp.up_proj"])
    with pytest.raises(InputError, match="layer 'lm_head' is part of the head"):
        fit(model, both, LanguageTask(split=True), [batch], seed=0)
    found = fit(model, layers, LanguageTask(split=False), [batch], seed=0, labels="given").layers["lm_head"]
    hidden = model.model(**batch).last_hidden_state[:, :-1].flatten(0, 1)
    torch.testing.assert_close(found.a, hidden.T @ hidden / 8, rtol=1e-9, atol=1e-12)


def test_modes_are_put_back(tiny: Any) -> None:
    model = tiny("Llama").train()
    model.lm_head.eval()
    language_task(model)
    assert model.training and model.model.layers[0].training and not model.lm_head.training


def test_packed_documents_are_those_documents_one_by_one(tiny: Any) -> None:
    model, first, second = tiny("Llama"), ids(1, 7, 1), ids(1, 5, 2)
    alone = statistics(model, [{"input_ids": first}, {"input_ids": second}])
    tokens = torch.cat([first, second], 1)
    labels = tokens.clone()
    labels[0, 7] = -100  # nothing predicts the first token of a document
    # positions that begin anew keep attention inside a document
    positions = torch.cat([torch.arange(7), torch.arange(5)])[None]
    same(alone, statistics(model, [{"input_ids": tokens, "labels": labels, "position_ids": positions}]))


def test_a_plain_module_and_packed_documents() -> None:
    net = nn.Sequential(nn.Embedding(23, 8), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 23)).double()
    tokens = ids(2, 6)
    labels = tokens.clone()
    labels[:, 3] = -100  # a document begins here: nothing predicts its first token
    found = fit(net, find_layers(net, ["1"]), language_task(net), [{"input_ids": tokens, "labels": labels}], seed=0)
    assert found.layers["1"].count == 2 * 4


@pytest.mark.parametrize("kind", ["Llama", "GPT2"])
def test_mass_one_changes_nothing_and_an_edited_model_is_saved_as_it_is(tiny: Any, kind: str, tmp_path: Path) -> None:
    model, batch = tiny(kind), {"input_ids": ids(3, 7)}
    factors = statistics(model, [batch])
    layers = find_layers(model, mlp_layers(model, "last", ("gate", "up")))
    context = EditContext(model, layers, factors, seed=0)
    before = model(**batch).logits
    with edited(model, Kfac(mass=1.0).edit(context).weights):
        assert torch.equal(model(**batch).logits, before)
    with edited(model, Kfac(mass=0.5).edit(context).weights):
        after = model(**batch).logits
        model.save_pretrained(tmp_path)
    assert not torch.allclose(after, before) and torch.equal(model(**batch).logits, before)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float64)
    torch.testing.assert_close(loaded(**batch).logits, after, rtol=1e-12, atol=1e-12)


def test_what_is_refused(tiny: Any) -> None:
    model = tiny("Llama", tie_word_embeddings=True)
    with pytest.raises(InputError, match=r"'lm_head': it shares its weight with 'model.embed_tokens.weight'"):
        find_layers(model, ["lm_head"])
    with pytest.raises(InputError, match="sequences of 17 tokens, the model has 16 positions"):
        statistics(model, [{"input_ids": ids(1, 17)}])
    with pytest.raises(InputError, match="no position has a loss"):
        statistics(model, [{"input_ids": ids(1, 4), "labels": torch.full((1, 4), -100)}])


def test_a_quantised_weight_is_refused() -> None:
    class Quantised(nn.Linear):
        """As bitsandbytes does: a Linear whose weight is packed bytes."""

        def __init__(self) -> None:
            super().__init__(4, 4)
            self.weight = nn.Parameter(torch.zeros(8, 1, dtype=torch.uint8), requires_grad=False)

    with pytest.raises(InputError, match=r"'0': its weight is quantised \(torch.uint8, shape \(8, 1\)\)"):
        find_layers(nn.Sequential(Quantised()), ["0"])
    with pytest.raises(InputError, match="not in memory"):
        find_layers(nn.Sequential(nn.Linear(2, 2, device="meta")), ["0"])
    narrow = nn.Linear(2, 2)
    narrow.weight = nn.Parameter(torch.zeros(2, 2).to(torch.float8_e4m3fn), requires_grad=False)
    with pytest.raises(InputError, match="float8_e4m3fn"):
        find_layers(nn.Sequential(narrow), ["0"])


def test_a_plain_module_takes_no_padding_on_the_left() -> None:
    net = nn.Sequential(nn.Embedding(23, 8), nn.Linear(8, 23))
    batch = {"input_ids": ids(1, 3), "attention_mask": torch.tensor([[0, 1, 1]])}
    with pytest.raises(InputError, match="pad on the right"):
        fit(net, find_layers(net, ["1"]), language_task(net), [batch], seed=0)
