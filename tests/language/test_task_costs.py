"""What statistics of a language model cost and leave as it was: logits held, products made, number types, imports."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vitmem.edits.base import EditContext
from vitmem.edits.kfac import Kfac
from vitmem.kfac import edited, find_layers, fit, weight_matrix
from vitmem.kfac.moments import Sum
from vitmem.language.models.language_layers import mlp_layers
from vitmem.language.task import LanguageTask, language_task

VOCABULARY = 23
FIT = sys.modules["vitmem.kfac.fit"]  # the package gives its function the module's name


def ids(count: int, length: int, seed: int = 0) -> Tensor:
    return torch.randint(3, VOCABULARY, (count, length), generator=torch.Generator().manual_seed(seed))


class Logits(TorchDispatchMode):
    """Records the most rows of any tensor that an operation makes with the vocabulary as its last dimension."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        self.rows = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            made = isinstance(tensor, Tensor) and tensor.untyped_storage().data_ptr() not in self.weights
            if made and tensor.shape[-1:] == (VOCABULARY,):
                self.rows = max(self.rows, tensor.numel() // VOCABULARY)
        return out


def most_rows(model: Any, task: LanguageTask, labels: Any) -> int:
    layers = find_layers(model, mlp_layers(model, "all"))
    with Logits(model) as seen:
        fit(model, layers, task, [{"input_ids": ids(3, 7)}], seed=0, labels=labels, label_samples=2)
    return seen.rows


@pytest.mark.parametrize("labels", ["given", "sampled", "exact"])
@pytest.mark.parametrize("kind", ["Llama", "GPT2"])
def test_no_more_logits_than_one_chunk(tiny: Any, kind: str, labels: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny(kind)
    assert most_rows(model, LanguageTask(split=False), labels) >= 18  # or nothing is recorded
    assert most_rows(model, language_task(model), labels) == 18  # a chunk holds all of them
    monkeypatch.setattr(FIT, "CHUNK", VOCABULARY * 4)
    assert most_rows(model, language_task(model), labels) == 4


def test_what_gate_and_up_read_is_multiplied_once(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("Llama")
    layers = find_layers(model, mlp_layers(model, "last", ("gate", "up", "down")))
    shared, own = [], []
    capture = sys.modules["vitmem.kfac.capture"]
    product, alone = capture.add_upper, Sum.add_symmetric

    def counted(total: Tensor, left: Tensor, right: Tensor) -> None:
        shared.append(left.shape)
        product(total, left, right)

    def summed(self: Sum, left: Tensor, right: Tensor) -> None:
        own.append(left.shape)
        alone(self, left, right)

    monkeypatch.setattr(capture, "add_upper", counted)
    monkeypatch.setattr(Sum, "add_symmetric", summed)
    batches = [{"input_ids": ids(2, 6, seed)} for seed in range(3)]
    found = fit(model, layers, language_task(model), batches, seed=0, labels="given").layers
    a = {path.rpartition(".")[2]: layer.a for path, layer in found.items()}
    assert shared == [(10, 8)] * 3  # A of gate and up, once a batch
    # G of gate and up and A of down are 12 wide, G of down 8: nothing else reads 8 inputs
    assert sorted(own) == [(10, 8)] * 3 + [(10, 12)] * 9
    assert torch.equal(a["gate_proj"], a["up_proj"]) and a["down_proj"].shape == (12, 12)


def test_bfloat16_is_edited_and_kept(tiny: Any) -> None:
    model = tiny("Llama").bfloat16()
    layers = find_layers(model, mlp_layers(model, "last"))
    factors = fit(model, layers, language_task(model), [{"input_ids": ids(3, 7)}], seed=0)
    assert factors.metadata["dtype"] == "bfloat16"
    assert {t.dtype for layer in factors.layers.values() for t in (layer.a, layer.g)} == {torch.float64}
    result = Kfac(mass=0.5).edit(EditContext(model, layers, factors, seed=0))
    before = {path: weight_matrix(layer).clone() for path, layer in layers.items()}
    with edited(model, result.weights):
        for path, layer in layers.items():
            now, eigen_g, eigen_a = weight_matrix(layer), factors.layers[path].eigen_g, factors.layers[path].eigen_a
            assert now.dtype == torch.bfloat16 and not torch.equal(now, before[path])
            # the edit in float64, rounded once: the smallest set of products that holds half of their sum
            products = torch.outer(eigen_g.values, eigen_a.values)
            order = products.flatten().argsort(descending=True)
            count = int((products.flatten()[order].cumsum(0) < 0.5 * products.sum()).sum()) + 1
            mask = torch.zeros(products.numel()).double().index_fill_(0, order[:count], 1).reshape(products.shape)
            u, v = eigen_g.vectors, eigen_a.vectors
            exact = u @ ((u.T @ before[path].double() @ v) * mask) @ v.T
            torch.testing.assert_close(now.double(), exact, rtol=2**-8, atol=1e-9)
        assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert all(torch.equal(weight_matrix(layer), before[path]) for path, layer in layers.items())


def test_nothing_imports_transformers_before_a_model_of_it_is_asked_for() -> None:
    modules = "vitmem, vitmem.cli.main, vitmem.kfac, vitmem.language.task, vitmem.language.models.language_layers"
    modules += ", vitmem.language.models.pretrained"
    program = f"import sys, {modules}; print([m for m in ('transformers', 'lm_eval', 'datasets') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
