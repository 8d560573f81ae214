"""Convolutions as matrices: patches by hand in float64, statistics, edits in the shape that the layer keeps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from vitmem.adapters.vision import VisionTask
from vitmem.edits.base import EditContext
from vitmem.edits.kfac import Kfac
from vitmem.edits.magnitude import Magnitude
from vitmem.edits.random_basis import RandomBasis
from vitmem.edits.svd import Svd
from vitmem.errors import InputError, VitmemError
from vitmem.kfac import corrected, edited, find_layers, fit, weight_matrix
from vitmem.kfac.capture import entering
from vitmem.kfac.patches import inputs_of

CLASSES = 3
KINDS: list[dict[str, Any]] = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (3, 2), "stride": (2, 1), "padding": (0, 2)},
    {"kernel_size": 3, "dilation": 2, "padding": "same"},
    {"kernel_size": (4, 2), "padding": "same", "padding_mode": "circular"},
    {"kernel_size": 2, "padding": "valid", "bias": False},
    {"kernel_size": 1},
    {"kernel_size": 3, "padding": 1, "padding_mode": "reflect", "stride": 2},
]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


class Net(nn.Module):
    """Images (B, 2, 6, 7) -> conv -> two convolutions that read the same map -> logits (B, 3); ReLUs work in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.second, self.short = nn.Conv2d(4, 5, 3, 2, 1, bias=False), nn.Conv2d(4, 5, 1, 2)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        x = functional.relu(self.first(images), inplace=True)
        x = functional.relu_(self.second(x) + self.short(x))
        return self.head(x.mean((2, 3)))


@pytest.fixture
def net() -> Net:
    return Net().double().eval()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    return torch.randn(8, 2, 6, 7, dtype=torch.float64), torch.randint(CLASSES, (8,))


def patches_by_hand(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Cut every patch out of a padded map with slices, (B, H', W', C kh kw)."""
    (kh, kw), (dh, dw), (sh, sw) = layer.kernel_size, layer.dilation, layer.stride
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    x = functional.pad(x, layer._reversed_padding_repeated_twice, mode)
    height, width = x.shape[2] - dh * (kh - 1), x.shape[3] - dw * (kw - 1)
    rows = [
        torch.stack([x[:, :, i : i + dh * kh : dh, j : j + dw * kw : dw].flatten(1) for j in range(0, width, sw)], 1)
        for i in range(0, height, sh)
    ]
    return torch.stack(rows, 1)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_convolution_is_its_matrix_times_patches(kind: dict[str, Any]) -> None:
    layer, x = nn.Conv2d(3, 5, **kind).double(), torch.randn(2, 3, 6, 7, dtype=torch.float64)
    patches = inputs_of(layer, x)
    assert torch.equal(patches, patches_by_hand(layer, x))
    found = patches @ weight_matrix(layer).T + (0 if layer.bias is None else layer.bias)
    torch.testing.assert_close(found.movedim(-1, 1), layer(x))


@pytest.mark.parametrize("labels", ["given", "exact"])
def test_statistics_are_those_of_patches_and_of_gradients_by_autograd(net: Net, batch: Any, labels: Any) -> None:
    paths = ["first", "second", "short"]
    layers = find_layers(net, paths)
    found = fit(net, layers, VisionTask("cls", 0), [batch], seed=0, labels=labels, moments="coupled")
    kept: dict[str, tuple[Tensor, Tensor]] = {}
    handles = [m.register_forward_hook(lambda m, a, y, p=p: kept.update({p: (a[0], y)})) for p, m in layers.items()]
    # out of place, so that what entered and left a layer is still there
    x = functional.relu(net.first(batch[0]))
    logits = net.head(functional.relu(net.second(x) + net.short(x)).mean((2, 3)))
    chosen = batch[1][None] if labels == "given" else torch.arange(CLASSES)[:, None].expand(-1, 8)
    chances = torch.ones(1, 8) if labels == "given" else logits.detach().softmax(1).T
    for handle in handles:
        handle.remove()
    for path, layer in found.layers.items():
        a = patches_by_hand(layers[path], kept[path][0]).flatten(0, 2).detach()
        g_total, a_coupled = 0.0, 0.0
        for given, chance in zip(chosen, chances, strict=True):
            losses = functional.cross_entropy(logits, given, reduction="none")
            (g,) = torch.autograd.grad((losses * chance.sqrt()).sum(), kept[path][1], retain_graph=True)
            g = g.permute(0, 2, 3, 1).flatten(0, 2)
            g_total = g_total + g.T @ g
            a_coupled = a_coupled + (a * g.square().sum(1, keepdim=True)).T @ a
        assert layer.count == len(a)
        torch.testing.assert_close(layer.a, a.T @ a / len(a), rtol=1e-10, atol=1e-14)
        torch.testing.assert_close(layer.g, g_total / len(a), rtol=1e-10, atol=1e-14)
        torch.testing.assert_close(layer.a_coupled, a_coupled / len(a), rtol=1e-10, atol=1e-14)


def test_statistics_do_not_depend_on_the_batches_and_have_a_second_pass(net: Net, batch: Any) -> None:
    layers, task = find_layers(net, ["first", "second", "short"]), VisionTask("all", 0)
    parts = list(zip(*(part.split(3) for part in batch), strict=True))
    whole, some = (fit(net, layers, task, batches, seed=1) for batches in ([batch], parts))
    both = corrected(net, layers, task, parts, whole)
    for path, layer in whole.layers.items():
        torch.testing.assert_close(layer.a, some.layers[path].a, rtol=1e-10, atol=1e-14)
        torch.testing.assert_close(layer.g, some.layers[path].g, rtol=1e-10, atol=1e-14)
        # over all pairs, the mean of |g|² |a|²
        coupled = fit(net, layers, task, [batch], seed=1, moments="diagonal").layers[path].trace
        assert float(both.layers[path].pairs.sum()) == pytest.approx(coupled)


def test_patches_are_what_enters(net: Net, batch: Any) -> None:
    seen: dict[str, Tensor] = {}
    with torch.no_grad(), entering(find_layers(net, ["first", "head"]), seen.__setitem__):
        net(batch[0])
    assert torch.equal(seen["first"], patches_by_hand(net.first, batch[0])) and seen["head"].shape == (8, 5)


def test_a_map_that_is_changed_after_it_was_read_is_refused(batch: Any) -> None:
    class Changing(Net):
        def forward(self, images: Tensor) -> Tensor:
            x = self.first(images)
            y = self.second(x)
            x.mul_(2)
            return self.head((y + self.short(x)).mean((2, 3)))

    net = Changing().double()
    with pytest.raises(VitmemError, match="layer 'second': its input was changed in place"):
        fit(net, find_layers(net, ["second"]), VisionTask("all", 0), [batch], seed=0)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_edits_go_back_in_the_shape_of_the_convolution(net: Net, batch: Any, memory: torch.memory_format) -> None:
    net = net.to(memory_format=memory)
    layers = find_layers(net, ["second"])
    factors = fit(net, layers, VisionTask("all", 0), [batch], seed=0)
    context = EditContext(net, layers, factors, seed=0)
    old = net.second.weight.detach().clone()
    u, s, vt = torch.linalg.svd(old.reshape(5, 36), full_matrices=False)
    rank_two = ((u[:, :2] * s[:2]) @ vt[:2]).reshape(old.shape)
    edits = [
        Svd(rank_fraction=0.4).edit(context),
        Kfac(mass=0.5).edit(context),
        Magnitude(fraction=0.5).edit(context),
        RandomBasis(fraction=0.5).edit(context),
    ]
    before, logits = net.second.weight.stride(), net(batch[0])
    for n, result in enumerate(edits):
        with edited(net, result.weights):
            assert net.second.weight.shape == old.shape and net.second.weight.stride() == before
            new = net.second.weight.detach().clone()
            assert not torch.equal(net(batch[0]), logits)
        assert torch.equal(net.second.weight, old) and torch.equal(net(batch[0]), logits)
        assert torch.equal(new, result.weights["second"].reshape(old.shape)) and not torch.equal(new, old)
        if n == 0:
            torch.testing.assert_close(new, rank_two)


def test_what_is_no_single_matrix_of_patches_is_refused() -> None:
    class Scaled(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return functional.conv2d(x, self.weight * 2)

    net = nn.ModuleDict({"grouped": nn.Conv2d(4, 4, 3, groups=2), "scaled": Scaled(4, 4, 3), "fc": nn.Linear(2, 2)})
    with pytest.raises(InputError, match="only a Conv2d in 2 groups, each with its own matrix, expected"):
        find_layers(net, ["grouped"])
    with pytest.raises(InputError, match="only a Scaled, whose weight or padding is not that of a plain"):
        find_layers(net, ["scaled"])
    assert list(find_layers(net, ["*"])) == ["fc"]
