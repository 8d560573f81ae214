"""The learning rate by step: a linear warm-up, then a cosine or a schedule of timm's."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import timm.scheduler
import torch
from torch.optim.lr_scheduler import LambdaLR

from vitmem.errors import InputError, one_line, shown, unknown
from vitmem.recipe import NameAndArguments, Recipe
from vitmem.training.optim import check_arguments

SUFFIX = "LRScheduler"
# step -> StepLRScheduler, and so on
SCHEDULERS: dict[str, Callable[..., Any]] = {
    name.removesuffix(SUFFIX).lower(): value for name, value in vars(timm.scheduler).items() if name.endswith(SUFFIX)
}
# Arguments that count epochs.
TIMES = ("t_initial", "decay_t", "stable_timescale", "noise_range_t")
# Arguments without which timm would fail, or decay nothing.
NEEDED: dict[str, dict[str, Any]] = {
    "step": {"decay_t": 30, "decay_rate": 0.1},
    "multistep": {"decay_t": [60, 120], "decay_rate": 0.1},
    "wsd": {"decay_t": 10},
}
# Arguments that the recipe gives: the warm-up is its own for all schedules.
TOLD = ("optimizer", "lr_min", "warmup_t", "warmup_lr_init", "warmup_prefix", "t_in_epochs", "initialize")


def schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, total_steps: int, steps_per_epoch: int) -> LambdaLR:
    """Return the factor of the learning rate by step: up to 1 over the warm-up, then down to ``min_lr`` at the lowest.

    A cosine, poly, tanh or wsd begins after the warm-up and ends with the training; the epochs of a step or multistep
    count from the start. timm's multistep decays with the last step before its epoch. Raises InputError for an unknown
    name or argument.
    """
    warmup = min(round(recipe.warmup(steps_per_epoch)), total_steps)
    length = max(total_steps - warmup, 1)
    asked = recipe.scheduler
    decayed = (
        _cosine(recipe.min_lr, length)
        if asked is None
        else _of_timm(asked, recipe.min_lr, warmup, length, steps_per_epoch)
    )
    skipped = warmup if asked is None or "t_initial" in _parameters(asked) else 0

    def factor(step: int) -> float:
        return (step + 1) / warmup if step < warmup else decayed(step - skipped)

    return LambdaLR(optimizer, factor)


def _cosine(lowest: float, length: int) -> Callable[[int], float]:
    def factor(step: int) -> float:
        return lowest + (1 - lowest) * 0.5 * (1 + math.cos(math.pi * min(step / length, 1.0)))

    return factor


def _of_timm(
    asked: NameAndArguments, lowest: float, warmup: int, length: int, steps_per_epoch: int
) -> Callable[[int], float]:
    """Return the factor by step of the schedule that is ``asked`` for, by default of ``length`` steps."""
    check_scheduler(asked)
    defaults = {"t_initial": length, "lr_min": lowest, **({"stable_timescale": warmup} if warmup else {})}
    known = _parameters(asked)
    arguments: dict[str, Any] = {name: value for name, value in defaults.items() if name in known}
    for name, value in asked.arguments.items():
        arguments[name] = _in_steps(value, steps_per_epoch) if name in TIMES else value
    # a rate of 1, so that its rates are factors
    rated = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    try:
        made = SCHEDULERS[asked.name](rated, **arguments, t_in_epochs=False)
        made.step_update(length)
    except (AssertionError, ArithmeticError, TypeError, ValueError) as error:
        raise InputError(f"recipe: scheduler '{asked.name}': {one_line(error)}") from error

    def factor(step: int) -> float:
        made.step_update(step)
        return max(float(rated.param_groups[0]["lr"]), lowest)

    return factor


def check_scheduler(asked: NameAndArguments) -> None:
    """Raise InputError for an unknown name, an unknown or missing argument, and a time that is no number of epochs."""
    where = f"recipe: scheduler '{asked.name}'"
    if asked.name not in SCHEDULERS:
        raise InputError(f"recipe: {unknown('scheduler', asked.name, SCHEDULERS)}")
    if asked.name == "plateau":
        raise InputError(f"{where} follows a measured accuracy, and a resumed training forgets it; take step or cosine")
    check_arguments(asked, _parameters(asked), TOLD, where)
    for name, example in NEEDED.get(asked.name, {}).items():
        got = asked.arguments.get(name)
        if got is None or isinstance(got, tuple) != isinstance(example, list):
            raise InputError(f"{where} needs '{name}', such as {example}, got {shown(got)}")
    for name in TIMES:
        value = asked.arguments.get(name, 1)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, bool) or not isinstance(one, int | float) or one <= 0:
                raise InputError(f"{where}: '{name}' counts epochs: expected numbers above 0, got {one!r}")


def _parameters(asked: NameAndArguments) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(SCHEDULERS[asked.name]).parameters


def _in_steps(epochs: Any, steps_per_epoch: int) -> Any:
    """Return the steps of a number of epochs, or of each of several in order; at least one."""
    if isinstance(epochs, tuple):
        return sorted(_in_steps(one, steps_per_epoch) for one in epochs)
    return max(round(epochs * steps_per_epoch), 1)
