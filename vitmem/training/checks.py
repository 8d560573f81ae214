"""What of a recipe cannot be done with a network on a device, told before anything is trained."""

from __future__ import annotations

import torch
from torch import nn

from vitmem.errors import InputError
from vitmem.recipe import Recipe
from vitmem.training.optim import optimizer
from vitmem.training.schedule import check_scheduler


def check_recipe(recipe: Recipe, net: nn.Module, device: torch.device) -> None:
    """Raise InputError for an optimizer or a scheduler that cannot be made, and for float16 on a processor."""
    if recipe.precision == "16" and device.type != "cuda":
        raise InputError(
            f"recipe: precision '16' (float16 with a loss scale) needs a CUDA device, got {device.type}; take bf16"
        )
    optimizer(net, recipe)
    if recipe.scheduler is not None:
        check_scheduler(recipe.scheduler)
