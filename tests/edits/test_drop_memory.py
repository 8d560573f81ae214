"""Dropping memory units: the network with these units zeroed, weights by hand, and what is told without them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from vitmem.edits.base import EditContext
from vitmem.edits.drop_memory import DropMemory
from vitmem.errors import InputError, VitmemError
from vitmem.kfac import edited
from vitmem.recipe import ExampleTied
from vitmem.training.tied import TiedUnits

Problem = Callable[..., EditContext]
TIED = ExampleTied(fixed=0.25, memory=0.1)


def test_it_is_the_network_whose_memory_units_are_zero_and_whose_fixed_ones_are_scaled(problem: Problem) -> None:
    context = replace(problem(), tied={"2": TIED})
    net, x = context.model, context.examples().keep[0]  # type: ignore[misc]

    def dropped(_layer: object, args: tuple[Tensor]) -> Tensor:
        units = args[0].clone()
        units[:, 8:] = 0
        units[:, :8] *= 0.35 / 0.25
        return units

    handle = net.get_submodule("2").register_forward_pre_hook(dropped)
    expected = net(x)
    handle.remove()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    result = DropMemory().edit(context)
    with edited(net, result.weights):
        torch.testing.assert_close(net(x), expected, rtol=1e-12, atol=1e-12)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert list(result.weights) == list(result.reports) == ["2"]
    weight, report = before["2.weight"], result.reports["2"]
    assert (report.kept_pairs, report.total_pairs) == (8, 32)
    assert report.kept_energy == pytest.approx(float(weight[:, :8].norm() ** 2 / weight.norm() ** 2))
    change = 0.16 * weight[:, :8].square().sum() + weight[:, 8:].square().sum()
    assert report.change_norm == pytest.approx(float(change.sqrt()))


def test_the_published_factor() -> None:
    net = nn.Sequential(nn.Linear(10, 1, bias=False))
    net[0].weight.data = torch.arange(1.0, 11.0)[None]
    result = DropMemory().edit(EditContext(net, {}, None, seed=0, tied={"0": ExampleTied()}))
    torch.testing.assert_close(result.weights["0"], torch.tensor([[1.5, 3.0, *[0.0] * 8]]))


def test_a_network_that_was_not_trained_for_it(problem: Problem) -> None:
    with pytest.raises(InputError, match=r"^edit: 'drop_memory' needs a network [^\n.]*'example_tied' in the recipe$"):
        DropMemory().edit(problem())


def test_a_weight_that_is_not_finite(problem: Problem) -> None:
    context = replace(problem(), tied={"2": TIED})
    context.model.get_submodule("2").weight.data[0, 0] = torch.nan  # type: ignore[union-attr, operator]
    with pytest.raises(VitmemError, match=r"^layer '2': NaN or infinity"):
        DropMemory().edit(context)


class Clusters:
    """300 points of five clusters, the first 45 with wrong labels, 500 more; a network that has learned them all."""

    def __init__(self, spec: ExampleTied, tie: bool) -> None:
        generator = torch.Generator().manual_seed(0)
        centre = functional.normalize(torch.randn(5, 50, generator=generator)) * 3
        self.true = torch.arange(800) % 5
        self.x = torch.randn(800, 50, generator=generator) + centre[self.true]
        self.given = self.true.clone()
        self.given[:45] = (self.given[:45] + 1 + torch.arange(45) // 5 % 4) % 5
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(50, 400), nn.ReLU(), nn.Linear(400, 5))
        reader = self.net[2]
        assert isinstance(reader, nn.Linear)
        tied = TiedUnits({"2": reader}, spec, seed=0)
        tied.choose(torch.arange(300))
        optimizer = torch.optim.Adam(self.net.parameters(), lr=3e-3)
        with tied.attached() if tie else nullcontext():
            for _ in range(100):
                optimizer.zero_grad()
                functional.cross_entropy(self.net(self.x[:300]), self.given[:300]).backward()
                optimizer.step()
            self.in_training = float((self.net(self.x[:300]).argmax(1) == self.given[:300]).double().mean())
        if tie:
            tied.fold()
        self.dropped = self.under(DropMemory().edit(EditContext(self.net, {}, None, seed=0, tied={"2": spec})).weights)

    @torch.no_grad()
    def under(self, weights: Mapping[str, Tensor]) -> tuple[float, float]:
        """Return memorized, and the accuracy on the points that were not trained on."""
        with edited(self.net, weights):
            said = self.net(self.x).argmax(1)
        memorized, seen = said[:45] == self.given[:45], said[300:] == self.true[300:]
        return float(memorized.double().mean()), float(seen.double().mean())


def test_memorization_goes_with_the_memory_units_and_not_with_others_or_in_another_network() -> None:
    spec = ExampleTied(fixed=0.1, memory=0.1)
    tied, plain = Clusters(spec, tie=True), Clusters(spec, tie=False)
    assert tied.in_training == plain.in_training == 1  # every wrong label, too
    memorized, seen = tied.dropped
    assert memorized < 0.25 and seen > 0.8
    # control: the same drop of a network that was trained without ties still recites, and has lost more
    assert plain.dropped[0] > memorized + 0.4 and plain.dropped[1] < seen - 0.1
    # control: as many other units, drawn at random, and the same factor
    weight = tied.net.get_submodule("2").weight
    assert isinstance(weight, Tensor)
    for seed in range(3):
        kept = torch.randperm(400, generator=torch.Generator().manual_seed(seed))[:40]
        others = torch.zeros_like(weight)
        others[:, kept] = 2 * weight.detach()[:, kept]
        assert tied.under({"2": others})[1] < seen - 0.05
