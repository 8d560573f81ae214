"""Statistics against an independent library: curvlinops' KFACLinearOperator, given the same labels."""

from __future__ import annotations

import warnings

import pytest
import torch
from curvlinops import KFACLinearOperator
from torch import nn

from vitmem.adapters.vision import VisionTask
from vitmem.kfac import find_layers, fit


class Tokens(nn.Module):
    """(B, T, 6) -> logits (B, 4), with the mean over tokens in between."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(6, 8, bias=False), nn.Linear(8, 6, bias=False)
        self.head = nn.Linear(6, 4, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head((x + self.fc2(torch.tanh(self.fc1(x)))).mean(1))


class Maps(nn.Module):
    """(B, 2, 6, 6) -> logits (B, 4), by two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 5, 3, padding=1, bias=False), nn.Conv2d(5, 6, 3, stride=2, bias=False)
        self.head = nn.Linear(6, 4, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv2(torch.tanh(self.conv1(x))).tanh().mean((2, 3)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "shape"), [(Tokens, (5, 6)), (Maps, (2, 6, 6))])
def test_factors_equal_those_of_curvlinops(kind: type[nn.Module], shape: tuple[int, ...]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = kind().double().eval()
        x, y = torch.randn(20, *shape, dtype=torch.float64), torch.randint(4, (20,))
    found = fit(net, find_layers(net, ["*"]), VisionTask("all", 0), [(x, y)], seed=0, labels="given")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        operator = KFACLinearOperator(
            net,
            nn.CrossEntropyLoss(reduction="sum"),
            list(net.parameters()),
            [(x, y)],
            fisher_type="empirical",
            kfac_approx="expand",
            check_deterministic=False,
        )
        operator.compute_kronecker_factors()
        state = operator.state_dict()
    for path, layer in found.layers.items():
        positions = layer.count
        # theirs: A is a mean over positions, G a sum, for a loss that is summed
        torch.testing.assert_close(layer.a, state["input_covariances"][path], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(layer.g * positions, state["gradient_covariances"][path], rtol=1e-10, atol=1e-12)
