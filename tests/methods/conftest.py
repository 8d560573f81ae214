"""A small trained-like network with the statistics of all its layers, and the edit of two of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vitmem.adapters.vision import VisionTask
from vitmem.kfac import find_layers, fit
from vitmem.methods.base import EditContext


@pytest.fixture
def context() -> EditContext:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 10), nn.Tanh(), nn.Linear(10, 3))
        for parameter in net.parameters():
            parameter.data.mul_(4)  # far from its initial size, so that the classes of the outputs differ
        batch = torch.randn(40, 12), torch.randint(3, (40,))
    layers = find_layers(net, ["0", "2"])
    factors = fit(net, find_layers(net, ["*"]), VisionTask("all", 0), [batch], seed=0, moments="coupled")
    return EditContext(net, layers, factors, seed=5)
