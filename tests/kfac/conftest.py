"""A network whose gradients can be written down: tokens -> fc1 -> tanh -> mean over tokens -> head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]
COUNT, TOKENS, WIDTH, HIDDEN, CLASSES = 12, 3, 4, 5, 3


class Net(nn.Module):
    """(B, T, WIDTH) -> logits (B, CLASSES)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(WIDTH, HIDDEN)
        self.head = nn.Linear(HIDDEN, CLASSES)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(torch.tanh(self.fc1(x)).mean(1)))


@dataclass(frozen=True)
class Tokens:
    """The task of these tests: all tokens, or the first one only."""

    first: bool = False

    def features(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return model(batch[0])

    def logits(self, model: nn.Module, features: Tensor) -> Tensor:
        return features

    def given(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return batch[1]

    def rows(self, activation: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
        if activation.ndim == 3 and self.first:
            return activation[:, 0]
        return activation.reshape(-1, activation.shape[-1])


class Truth:
    """The statistics of ``Net`` by hand, in numpy and float64."""

    def __init__(self, net: Net, x: Tensor) -> None:
        w1, b1, w2, b2 = (p.detach().numpy() for p in net.parameters())
        self.x = x.numpy()  # (N, T, WIDTH)
        self.h = np.tanh(self.x @ w1.T + b1)  # (N, T, HIDDEN)
        self.w2 = w2
        z = self.h.mean(1) @ w2.T + b2
        e = np.exp(z - z.max(1, keepdims=True))
        self.p = e / e.sum(1, keepdims=True)  # (N, CLASSES)

    def gradient(self, cotangent: Array) -> Array:
        """Return dLoss/d(fc1's output), (N, T, HIDDEN), for dLoss/dlogits (N, CLASSES)."""
        return (cotangent @ self.w2)[:, None] / TOKENS * (1 - self.h**2)

    def a(self, tokens: slice = slice(None)) -> Array:
        rows = self.x[:, tokens].reshape(-1, WIDTH)
        return rows.T @ rows / len(rows)

    def g(self, cotangent: Array, tokens: slice = slice(None)) -> Array:
        rows = self.gradient(cotangent)[:, tokens].reshape(-1, HIDDEN)
        return rows.T @ rows / len(rows)

    def one_hot(self, labels: Tensor) -> Array:
        return np.eye(CLASSES)[labels.numpy()]


@pytest.fixture
def net() -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net().double().train()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(COUNT, TOKENS, WIDTH, generator=generator, dtype=torch.float64)
    return x, torch.randint(CLASSES, (COUNT,), generator=generator)


@pytest.fixture
def truth(net: Net, batch: tuple[Tensor, Tensor]) -> Truth:
    return Truth(net, batch[0])


@pytest.fixture
def tokens() -> type[Tokens]:
    return Tokens
