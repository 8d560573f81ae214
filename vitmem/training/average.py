"""An exponential moving average of weights."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class AveragedWeights(AveragedModel):
    """Averages of the weights and buffers of ``net``: ``decay`` · average + (1 - ``decay``) · value after each step.

    The first average is the weights after the first step. Integers, such as counters and indices, are copied. It is
    never trained.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        super().__init__(net, multi_avg_fn=_average(decay), use_buffers=True)
        self.requires_grad_(False)

    @torch.no_grad()
    def swap(self, net: nn.Module) -> None:
        """Exchange the averages and the values of ``net``."""
        for average, value in zip(_tensors(self.module), _tensors(net), strict=True):
            kept = value.clone()
            value.copy_(average)
            average.copy_(kept)


def _tensors(net: nn.Module) -> Iterator[Tensor]:
    """Yield parameters and buffers, a shared one once."""
    return itertools.chain(net.parameters(), net.buffers())


def _average(decay: float) -> Callable[[Any, Any, Any], None]:
    of_floats = get_ema_multi_avg_fn(decay)

    def update(averages: Any, values: Any, count: Any) -> None:
        if averages[0].is_floating_point():
            of_floats(averages, values, count)
        else:  # torch's average of integers would cut them off
            for average, value in zip(averages, values, strict=True):
                average.copy_(value)

    return update
