"""The edit in several steps against dense algebra in float64, statistics of each step's network included."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from vitmem.adapters.vision import VisionTask
from vitmem.edits.base import EditContext
from vitmem.edits.iterated import Iterated
from vitmem.edits.kfac import Kfac
from vitmem.errors import InputError
from vitmem.kfac import find_layers, fit

Array = NDArray[np.float64]
PATHS = ("0", "2")


@pytest.fixture
def context(trained: tuple[nn.Sequential, Any, Any]) -> EditContext:
    """Statistics over the given labels, which can be written down."""
    net, x, y = trained

    def statistics() -> Any:
        layers = find_layers(net, list(PATHS))
        return fit(net, layers, VisionTask("all", 0), [(x, y)], seed=0, labels="given")

    return EditContext(net, find_layers(net, list(PATHS)), statistics(), seed=1, recollect=statistics)


def moments(weights: list[Array], biases: list[Array], x: Array, y: Array) -> list[tuple[Array, Array]]:
    """Return (A, G) of the first two of three layers with ReLU between them, by hand."""
    inputs, outputs = [x], []
    for n, (w, b) in enumerate(zip(weights, biases, strict=True)):
        outputs.append(inputs[-1] @ w.T + b)
        inputs.append(np.maximum(outputs[-1], 0) if n < 2 else outputs[-1])
    p = np.exp(outputs[2] - outputs[2].max(1, keepdims=True))
    gradient = p / p.sum(1, keepdims=True) - np.eye(p.shape[1])[y]
    found = []
    for n in (1, 0):
        gradient = (gradient @ weights[n + 1]) * (outputs[n] > 0)
        found.append((inputs[n].T @ inputs[n] / len(x), gradient.T @ gradient / len(x)))
    return found[::-1]


def projected(w: Array, a: Array, g: Array, fraction: float) -> Array:
    """Keep the coordinates of W with the largest products of eigenvalues."""
    (lam, u), (mu, v) = np.linalg.eigh(g), np.linalg.eigh(a)
    table = np.outer(np.maximum(lam, 0), np.maximum(mu, 0))
    kept = np.zeros(table.size)
    kept[np.argsort(table, axis=None)[::-1][: round(fraction * table.size)]] = 1
    out: Array = u @ ((u.T @ w @ v) * kept.reshape(table.shape)) @ v.T
    return out


def test_each_step_reads_the_network_that_the_last_one_left(context: EditContext, trained: Any) -> None:
    net, x, y = trained
    weights = [net[n].weight.detach().numpy().copy() for n in (0, 2, 4)]
    biases = [net[n].bias.detach().numpy() for n in (0, 2, 4)]
    first = [w.copy() for w in weights]
    for share in (0.2 ** (1 / 3), 0.2 ** (2 / 3), 0.2):
        read = moments(weights, biases, x.numpy(), y.numpy())
        weights[:2] = [projected(w, *one, share) for w, one in zip(weights[:2], read, strict=True)]
    found = Iterated(fraction=0.2, rounds=3).edit(context)
    for path, new, old in zip(PATHS, weights[:2], first[:2], strict=True):
        np.testing.assert_allclose(found.weights[path].numpy(), new, atol=1e-9)
        report = found.reports[path]
        assert report.change_norm == pytest.approx(np.linalg.norm(new - old))
        assert report.weight_norm == pytest.approx(np.linalg.norm(old))
        assert report.kept_energy == pytest.approx((new**2).sum() / (old**2).sum())
        assert report.kept_pairs == round(0.2 * old.size)
        assert torch.equal(context.layers[path].weight, torch.from_numpy(old))  # the network is as it was
    assert found.passes == 2
    single = Kfac(fraction=0.2).edit(context)
    assert all((single.weights[path] - found.weights[path]).abs().max() > 1e-3 for path in PATHS)


def test_the_rounding_is_measured_against_the_whole_change(context: EditContext) -> None:
    net = copy.deepcopy(context.model).bfloat16()
    low = replace(context, model=net, layers=find_layers(net, list(PATHS)), recollect=lambda: context.factors)
    # of the same statistics the last step decides alone: it rounds as the single edit does
    found, single = Iterated(mass=0.7, rounds=3).edit(low), Kfac(mass=0.7).edit(low)
    for path in PATHS:
        assert found.reports[path].cast_error == pytest.approx(single.reports[path].cast_error, rel=0.5)


def test_mass_falls_in_equal_steps(context: EditContext) -> None:
    same = replace(context, recollect=lambda: context.factors)
    # of the same statistics the last step alone decides: what it keeps, every step before has kept
    found, single = Iterated(mass=0.7, rounds=4).edit(same), Kfac(mass=0.7).edit(context)
    for path in PATHS:
        torch.testing.assert_close(found.weights[path], single.weights[path], rtol=1e-9, atol=1e-11)
        assert found.reports[path].kept_mass == pytest.approx(single.reports[path].kept_mass)


def test_the_passes_of_a_search_are_counted(context: EditContext) -> None:
    called = []

    def counted() -> Any:
        called.append(1)
        return context.factors

    searched = replace(context, recollect=counted, loss=lambda weights: 0.0)
    found = Iterated(match_loss=0.1, rounds=2).edit(searched)
    assert len(called) > 1 and found.passes == len(called)
    assert Iterated(fraction=0.5, importance="foof", rounds=3).edit(searched).passes == 2


def test_without_statistics_to_collect_anew_it_says_so(context: EditContext) -> None:
    with pytest.raises(InputError, match="'iterated' collects statistics anew after each step"):
        Iterated(fraction=0.2).edit(replace(context, recollect=None))
