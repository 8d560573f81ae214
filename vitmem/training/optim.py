"""AdamW without weight decay on norms and biases; linear warm-up, then cosine."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from vitmem.recipe import Recipe


def optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Return AdamW over two groups: parameters of two and more dimensions decay, the others do not."""
    parameters = [p for p in net.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.lr, fused=True)


def schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, total_steps: int, steps_per_epoch: int) -> LambdaLR:
    """Return the factor of the learning rate by step: up to 1 over the warm-up, then down to ``min_lr``."""
    warmup = min(round(recipe.warmup_epochs * steps_per_epoch), total_steps)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        done = (step - warmup) / max(total_steps - warmup, 1)
        return recipe.min_lr + (1 - recipe.min_lr) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    return LambdaLR(optimizer, factor)
