"""The gradient of one example and the curvature along it, against dense Kronecker products in float64."""

from __future__ import annotations

import torch
from torch import nn

from vitmem.adapters.vision import VisionTask
from vitmem.kfac import fit
from vitmem.kfac.curvature import Sharpness
from vitmem.kfac.fit import backward_passes


def test_own_and_along_are_dense() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(6, 5)).double()
    points, labels = torch.randn(7, 2, 4, dtype=torch.float64), torch.arange(7) % 5  # two positions an example
    layers, task = {"0": net[0]}, VisionTask("all", 0)
    factors = fit(net, layers, task, [(points, labels)], labels="given", seed=0).layers["0"]
    found = Sharpness("0", factors)
    singles = zip(points.split(1), labels.split(1), strict=True)
    backward_passes(net, layers, task, singles, {"0": found}, labels="given", label_samples=1, seed=0)
    curvature = torch.kron(factors.g, factors.a)  # (pq, pq), for W by rows
    assert found.count == 14 and len(found.own) == len(found.along) == 7
    for n in range(7):
        net.zero_grad()
        nn.functional.cross_entropy(net(points[n : n + 1]), labels[n : n + 1]).backward()
        gradient = net[0].weight.grad.flatten()
        torch.testing.assert_close(found.own[n], float(gradient @ gradient))
        along = gradient @ curvature @ gradient / (gradient @ gradient) / (curvature.trace() / len(curvature))
        torch.testing.assert_close(found.along[n], float(along))


def test_no_gradient_has_no_curvature() -> None:
    net = nn.Linear(2, 2).double()
    points = torch.randn(5, 2, dtype=torch.float64)
    factors = fit(net, {"": net}, VisionTask("all", 0), [(points, torch.zeros(5).long())], seed=0).layers[""]
    found = Sharpness("", factors)
    found.add_gradients(torch.zeros(1, 2), torch.zeros(1, 2))
    assert found.own == [0.0] and found.along == [0.0]
