"""The optimizer of a recipe: AdamW or one of timm's, without weight decay on norms and biases."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from typing import Any

import torch
from timm.optim import (
    create_optimizer_v2,
    get_optimizer_class,
    get_optimizer_info,
    list_optimizers,
    param_groups_layer_decay,
)
from torch import nn

from vitmem.errors import InputError, one_line, shown, unknown
from vitmem.recipe import NameAndArguments, Recipe

# Arguments that the recipe or the network gives.
TOLD = ("params", "lr", "weight_decay")


def optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimizer of ``net``; with ``layer_decay`` its groups have learning rates of their own.

    AdamW decays parameters of two and more dimensions; an optimizer of timm's decays all but norms, biases and what the
    network itself excludes, such as positions. Raises InputError for an unknown name or argument, for an optimizer that
    cannot be used here, and for ``layer_decay`` where the network has no layer groups.
    """
    if recipe.layer_decay is not None and not hasattr(net, "group_matcher"):
        raise InputError(
            f"recipe: 'layer_decay' needs the layer groups of a timm network, and {type(net).__name__} has none; leave "
            "it out"
        )
    if recipe.optimizer is not None:
        chosen = _of_timm(net, recipe, recipe.optimizer)
    else:
        # gradients are clipped before a fused step would divide them by the loss scale of float16
        chosen = torch.optim.AdamW(_groups(net, recipe), lr=recipe.lr, fused=recipe.precision != "16")
    for group in chosen.param_groups:
        group["lr"] *= group.get("lr_scale", 1.0)
    return chosen


def _groups(net: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Return the parameters in groups, with weight decay and without."""
    if recipe.layer_decay is not None:
        undecayed: set[str] = getattr(net, "no_weight_decay", set)()
        return param_groups_layer_decay(
            net, recipe.weight_decay, no_weight_decay_list=undecayed, layer_decay=recipe.layer_decay
        )
    parameters = [p for p in net.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _of_timm(net: nn.Module, recipe: Recipe, asked: NameAndArguments) -> torch.optim.Optimizer:
    """Return the optimizer of timm's that is ``asked`` for."""
    where = f"recipe: optimizer '{asked.name}'"
    names = [str(name) for name in list_optimizers()]
    if asked.name not in names:
        raise InputError(f"recipe: {unknown('optimizer', asked.name, names)}")
    if get_optimizer_info(asked.name).second_order:
        raise InputError(f"{where} needs second derivatives, which trainings here do not compute; take another one")
    if asked.name.startswith("kron"):
        raise InputError(
            f"{where} draws random numbers that no checkpoint has, so that a resumed training would differ; take "
            "another one, such as muon"
        )
    arguments: dict[str, Any] = asked.arguments
    try:
        known = inspect.signature(get_optimizer_class(asked.name, bind_defaults=False)).parameters
        check_arguments(asked, known, TOLD, where)
        if recipe.precision == "16" and arguments.get("fused"):
            raise InputError(f"{where}: 'fused' cannot clip the gradients of precision '16'; leave it out")
        return create_optimizer_v2(
            net,
            asked.name,
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            layer_decay=recipe.layer_decay,
            **arguments,
        )
    except (AssertionError, ImportError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{where}: {one_line(error)}") from error


def check_arguments(
    asked: NameAndArguments, known: Mapping[str, inspect.Parameter], told: Collection[str], where: str
) -> None:
    """Raise InputError for an argument that is not ``known`` or not of its default's kind.

    The same holds for those that the recipe or the network has ``told``.
    """
    own = [name for name in known if name not in told]
    for name, value in asked.arguments.items():
        if name in told:
            raise InputError(f"{where}: '{name}' is set by the recipe; leave it out")
        if name not in own:
            raise InputError(f"{where}: {unknown('argument', name, own)}")
        default = known[name].default
        if not _alike(value, default):
            example, got = (list(v) if isinstance(v, tuple) else v for v in (default, value))
            raise InputError(f"{where}: '{name}': expected a value such as {example}, got {shown(got)}")


def _alike(value: object, default: object) -> bool:
    """Say whether ``value`` is a list of the same length, a boolean or a number where ``default`` is one."""
    if isinstance(default, tuple):
        return isinstance(value, tuple) and len(value) == len(default)
    if isinstance(default, bool):
        return isinstance(value, bool)
    numbers = int | float
    return not isinstance(default, numbers) or (isinstance(value, numbers) and not isinstance(value, bool))
