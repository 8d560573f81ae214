"""Schedules of timm's by update, against a formula and against timm's own values by epoch."""

from __future__ import annotations

import math
from typing import Any

import pytest
import timm.scheduler
import torch
from torch import nn

from vitmem.errors import InputError
from vitmem.recipe import Recipe
from vitmem.training.optim import optimizer
from vitmem.training.schedule import SCHEDULERS, schedule


def rates(recipe: Recipe, total: int, per_epoch: int) -> list[float]:
    """Return the learning rate of each step, and that after the last one."""
    chosen = optimizer(nn.Linear(2, 2), recipe)
    by_step = schedule(chosen, recipe, total, per_epoch)
    found = []
    for _ in range(total):
        found.append(chosen.param_groups[0]["lr"])
        chosen.step()
        by_step.step()
    return [*found, chosen.param_groups[0]["lr"]]


def test_step_counts_epochs_from_the_start_and_stops_at_min_lr() -> None:
    recipe = Recipe(
        epochs=9, lr=2.0, min_lr=0.05, warmup_epochs=1, scheduler={"name": "step", "decay_t": 2, "decay_rate": 0.1}
    )
    found = rates(recipe, 90, 10)
    assert found[:10] == pytest.approx([0.2 * (k + 1) for k in range(10)])
    expected = {1: 2.0, 2: 0.2, 3: 0.2, 4: 0.1, 8: 0.1}  # 2 %, then a floor of 5 %
    for epoch, rate in expected.items():
        assert found[10 * epoch : 10 * epoch + 10] == pytest.approx([rate] * 10), epoch


def test_multistep_at_its_epochs() -> None:
    asked = {"name": "multistep", "decay_t": [4.5, 3], "decay_rate": 0.5}
    found = rates(Recipe(epochs=6, lr=1.0, warmup_epochs=0, scheduler=asked), 60, 10)
    # timm decays with the last step before its epoch
    assert found[:29] == [1.0] * 29 and found[29:44] == [0.5] * 15 and found[44:60] == [0.25] * 16


@pytest.mark.parametrize("min_lr", [0.0, 0.2])
def test_the_cosine_of_timm_is_the_default(min_lr: float) -> None:
    given = {"epochs": 4, "lr": 0.3, "min_lr": min_lr, "warmup_epochs": 0.5}
    assert rates(Recipe(**given, scheduler="cosine"), 40, 10) == pytest.approx(rates(Recipe(**given), 40, 10))


@pytest.mark.parametrize(
    ("asked", "arguments"),
    [
        ({"name": "cosine", "t_initial": 4, "cycle_limit": 3, "cycle_decay": 0.5}, {"t_initial": 4}),
        ({"name": "poly", "power": 2.0}, {"t_initial": 12}),
        ({"name": "tanh"}, {"t_initial": 12}),
        ({"name": "wsd", "decay_t": 3, "decay_fn": "linear"}, {"t_initial": 12, "decay_t": 3}),
        ({"name": "step", "decay_t": 5, "decay_rate": 0.3}, {"decay_t": 5}),
    ],
)
def test_schedules_have_the_values_of_timm_at_each_epoch(asked: dict[str, Any], arguments: dict[str, Any]) -> None:
    by_epoch = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    name = f"{asked['name'].upper() if asked['name'] == 'wsd' else asked['name'].title()}LRScheduler"
    lowest = {} if asked["name"] == "step" else {"lr_min": 0.5 * 0.01}
    others = {key: value for key, value in asked.items() if key != "name"}
    made = getattr(timm.scheduler, name)(by_epoch, **{**others, **arguments, **lowest})
    recipe = Recipe(epochs=12, lr=0.5, min_lr=0.01, warmup_epochs=0, scheduler=asked)
    found = rates(recipe, 84, 7)
    for epoch in range(13):
        made.step(epoch)
        assert found[7 * epoch] == pytest.approx(by_epoch.param_groups[0]["lr"], abs=1e-9), epoch


def test_what_ends_with_the_training_begins_after_the_warm_up() -> None:
    recipe = Recipe(epochs=5, lr=1.0, warmup_steps=7, scheduler={"name": "poly", "power": 1.0})
    found = rates(recipe, 50, 10)
    assert found == pytest.approx([*((k + 1) / 7 for k in range(7)), *(1 - k / 43 for k in range(44))])


def test_warm_up_steps() -> None:
    found = rates(Recipe(epochs=2, lr=1.0, warmup_steps=4), 20, 10)
    assert found[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert found[4:] == pytest.approx([(1 + math.cos(math.pi * k / 16)) / 2 for k in range(17)])
    assert rates(Recipe(epochs=2, lr=1.0, warmup_steps=0), 20, 10)[0] == 1.0


def test_layer_decay_scales_every_step() -> None:
    net = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2)
    recipe = Recipe(
        epochs=2, lr=1.0, warmup_epochs=0, layer_decay=0.5, scheduler={"name": "step", "decay_t": 1, "decay_rate": 0.1}
    )
    chosen = optimizer(net, recipe)
    by_step = schedule(chosen, recipe, 20, 10)
    before = [group["lr"] for group in chosen.param_groups]
    for _ in range(10):
        chosen.step()
        by_step.step()
    assert [group["lr"] for group in chosen.param_groups] == pytest.approx([rate / 10 for rate in before])
    assert sorted(set(before)) == pytest.approx([0.125, 0.25, 0.5, 1.0])


def test_arguments_that_timm_refuses() -> None:
    for asked in ({"name": "wsd", "decay_t": 9}, {"name": "wsd", "decay_t": 1, "decay_fn": "cubic"}):
        recipe = Recipe(epochs=5, warmup_epochs=0, scheduler=asked)
        with pytest.raises(InputError, match="recipe: scheduler 'wsd': Invalid decay_"):
            rates(recipe, 50, 10)


def test_every_schedule_of_timm_is_known() -> None:
    classes = {name for name in vars(timm.scheduler) if name.endswith("LRScheduler")}
    assert {value.__name__ for value in SCHEDULERS.values()} == classes and {"step", "multistep"} <= SCHEDULERS.keys()
