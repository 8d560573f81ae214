"""Costs told from a config: the sizes of the preset by hand, operations against those that torch counts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlamaConfig, LlamaForCausalLM

from vitmem.kfac import find_layers, fit
from vitmem.language.models.language_layers import mlp_layers
from vitmem.language.models.skeleton import skeleton_of
from vitmem.language.offline.estimate import cost_of, rate
from vitmem.language.offline.presets import PRESETS, FitSettings
from vitmem.language.task import language_task


class Counter(TorchDispatchMode):
    """Counts two operations for each product of numbers in every product of matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        left = {"mm": 0, "bmm": 0, "addmm": 1, "addmm_": 1, "baddbmm": 1}.get(name)
        if left is not None:
            self.operations += 2 * out.numel() * args[left].shape[-1]
        return out


def test_the_preset_by_hand() -> None:
    preset = PRESETS["merullo2025-olmo2-7b"]
    cost = cost_of(skeleton_of(preset.config), preset.settings, 20_000_000)
    names = [f"model.layers.{n}.mlp.{part}_proj" for n in (23, 24, 25) for part in ("gate", "up")]
    assert cost.shapes == dict.fromkeys(names, (11008, 4096))
    # embedding and head; four projections of attention, three of the MLP, norms of width 4096; the last norm
    block = 4 * 4096**2 + 3 * 4096 * 11008 + 4 * 4096
    assert cost.parameters == 2 * 100352 * 4096 + 32 * block + 4096 == 7_298_617_344
    assert cost.model_bytes == 2 * cost.parameters
    a, g = 4 * 4096**2, 4 * 11008**2
    assert (round(a / 1e6), round(g / 1e6)) == (67, 485)
    assert cost.factor_bytes == 6 * (a + g)
    # A of gate and up is one product
    assert cost.product_operations == 20_000_000 * (6 * 2 * 11008**2 + 3 * 2 * 4096**2)
    each = 2 * (4 * 4096**2 + 3 * 4096 * 11008) + 2 * 512 * 4096
    assert cost.model_operations == 20_000_000 * ((32 + 9) * each + 2 * 2 * 4096 * 100352)
    assert (preset.mass, preset.settings.length, preset.settings.tokens) == (0.6, 512, 20_000_000)


@pytest.mark.parametrize("roles", [("gate", "up"), ("gate", "up", "down")])
def test_operations_against_a_counter(roles: tuple) -> None:
    sizes = {"hidden_size": 32, "intermediate_size": 96, "num_hidden_layers": 8, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=200, attn_implementation="eager", **sizes)).eval()
    settings = FitSettings(blocks=[5, 7], roles=roles, length=16, dtype="float32")
    ids = torch.randint(200, (4, 16), generator=torch.Generator().manual_seed(0))
    layers = find_layers(model, mlp_layers(model, [5, 7], roles))
    task = language_task(model)
    with Counter() as counter:
        fit(model, layers, task, [{"input_ids": ids}], seed=0)
    cost = cost_of(model, settings, 64)
    # small rows spoil it a little: attention is counted for half a row, the last position has no loss
    assert cost.model_operations + cost.product_operations == pytest.approx(counter.operations, rel=0.1)


def test_a_rate_is_measured() -> None:
    assert 1e8 < rate(torch.device("cpu"), torch.float32) < 1e14
