"""Statistics against what is written down by hand in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.pytorch_utils import Conv1D

from vitmem.errors import VitmemError
from vitmem.kfac import Factors, Tempered, find_layers, fit
from vitmem.kfac.moments import LayerMoments


def split(batch: Any, size: int) -> list[Any]:
    return list(zip(*(part.split(size) for part in batch), strict=True))


def close(found: torch.Tensor, expected: Any) -> None:
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("first", [False, True])
def test_given_labels(net: Any, batch: Any, truth: Any, tokens: Any, first: bool) -> None:
    factors = fit(net, find_layers(net, ["*"]), tokens(first), [batch], seed=0, labels="given")
    chosen = slice(0, 1) if first else slice(None)
    cotangent = truth.p - truth.one_hot(batch[1])
    close(factors.layers["fc1"].a, truth.a(chosen))
    close(factors.layers["fc1"].g, truth.g(cotangent, chosen))
    assert factors.layers["fc1"].count == 12 * (1 if first else 3)
    close(factors.layers["head"].g, cotangent.T @ cotangent / 12)
    close(factors.layers["head"].a, truth.h.mean(1).T @ truth.h.mean(1) / 12)


@pytest.mark.parametrize("labels", ["sampled", "given", "exact", "logit_jacobian"])
def test_a_row_without_a_label_has_no_gradient(net: Any, batch: Any, tokens: Any, labels: Any) -> None:
    x, given = batch[0], batch[1].clone()
    given[7:] = -100
    layers = find_layers(net, ["fc1"])
    whole = fit(net, layers, tokens(), [(x, given)], seed=3, labels=labels).layers["fc1"]
    part = fit(net, layers, tokens(), [(x[:7], given[:7])], seed=3, labels=labels).layers["fc1"]
    close(whole.g * whole.count, part.g * part.count)


def expectation(truth: Any) -> Any:
    """Return G of fc1 under the model's own labels: all classes, weighted by their probability."""
    classes = truth.p.shape[1]
    eye = np.eye(classes)
    return sum(truth.g((truth.p - eye[k]) * np.sqrt(truth.p[:, k : k + 1])) for k in range(classes))


def test_a_temperature_is_that_of_the_network_with_divided_logits(
    net: Any, batch: Any, truth: Any, tokens: Any
) -> None:
    tempered = truth.p ** (1 / 2.5)
    truth.p = tempered / tempered.sum(1, keepdims=True)
    layers = find_layers(net, ["fc1"])
    found = fit(net, layers, Tempered(tokens(), 2.5), [batch], seed=0, labels="exact").layers["fc1"]
    close(found.g, expectation(truth) / 2.5**2)
    close(found.a, truth.a())
    drawn = fit(net, layers, Tempered(tokens(), 2.5), [batch], seed=4).layers["fc1"]
    with torch.no_grad():
        net.head.weight.div_(2.5), net.head.bias.div_(2.5)
    close(drawn.g, fit(net, layers, tokens(), [batch], seed=4).layers["fc1"].g)


def test_exact_labels_are_the_expectation(net: Any, batch: Any, truth: Any, tokens: Any) -> None:
    factors = fit(net, find_layers(net, ["fc1"]), tokens(), [batch], seed=0, labels="exact")
    close(factors.layers["fc1"].g, expectation(truth))
    close(factors.layers["fc1"].a, truth.a())


def test_sampled_labels_tend_to_the_expectation(net: Any, batch: Any, truth: Any, tokens: Any) -> None:
    layers = find_layers(net, ["fc1"])
    factors = fit(net, layers, tokens(), [batch], seed=0, labels="sampled", label_samples=4000)
    error = np.linalg.norm(factors.layers["fc1"].g.numpy() - expectation(truth))
    assert error < 0.05 * np.linalg.norm(expectation(truth))
    close(factors.layers["fc1"].a, truth.a())


def test_the_logit_jacobian(net: Any, batch: Any, truth: Any, tokens: Any) -> None:
    # the mean of c cᵀ over random signs, centred, is the centring matrix: G = mean Jᵀ (I - 11ᵀ/K) J
    layers = find_layers(net, ["fc1"])
    found = fit(net, layers, tokens(), [batch], seed=0, labels="logit_jacobian", label_samples=4000)
    classes = truth.p.shape[1]
    centring = np.eye(classes) - 1 / classes
    expected = sum(truth.g(np.tile(row, (12, 1))) for row in centring)
    error = np.linalg.norm(found.layers["fc1"].g.numpy() - expected)
    assert error < 0.05 * np.linalg.norm(expected)


def test_coupled_moments(net: Any, batch: Any, truth: Any, tokens: Any) -> None:
    layers = find_layers(net, ["fc1"])
    found = fit(net, layers, tokens(), [batch], seed=0, labels="given", moments="coupled").layers["fc1"]
    a = truth.x.reshape(-1, truth.x.shape[-1])
    g = truth.gradient(truth.p - truth.one_hot(batch[1])).reshape(len(a), -1)
    a2, g2 = (a**2).sum(1, keepdims=True), (g**2).sum(1, keepdims=True)
    close(found.a_coupled, (a * g2).T @ a / len(a))
    close(found.g_coupled, (g * a2).T @ g / len(a))
    close(found.a_diagonal, np.diag((a * g2).T @ a) / len(a))
    close(found.g_diagonal, np.diag((g * a2).T @ g) / len(a))
    assert found.trace == pytest.approx(float((a2 * g2).mean()))


def test_the_mean_of_the_inputs(net: Any, batch: Any, truth: Any, tokens: Any) -> None:
    layers = find_layers(net, ["fc1"])
    plain, found = (
        fit(net, layers, tokens(), split(batch, 5), seed=0, moments=moments).layers["fc1"]
        for moments in ("plain", "mean")
    )
    assert plain.a_mean is None
    close(found.a_mean, truth.x.reshape(-1, truth.x.shape[-1]).mean(0))
    assert torch.equal(found.a, plain.a) and torch.equal(found.g, plain.g)


@pytest.mark.parametrize("labels", ["sampled", "given", "exact", "logit_jacobian"])
def test_the_batch_size_does_not_matter(net: Any, batch: Any, tokens: Any, labels: Any) -> None:
    layers = find_layers(net, ["*"])
    whole = fit(net, layers, tokens(), [batch], seed=7, labels=labels, label_samples=2)
    parts = fit(net, layers, tokens(), split(batch, 5), seed=7, labels=labels, label_samples=2)
    for path, layer in whole.layers.items():
        close(parts.layers[path].a, layer.a)
        close(parts.layers[path].g, layer.g)


def test_another_seed_samples_other_labels_and_the_global_generator_is_left_alone(
    net: Any, batch: Any, tokens: Any
) -> None:
    layers = find_layers(net, ["fc1"])
    state = torch.random.get_rng_state()
    one, two = (fit(net, layers, tokens(), [batch], seed=s).layers["fc1"].g for s in (1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not torch.equal(one, two)


def test_modes_and_flags_are_put_back(net: Any, batch: Any, tokens: Any) -> None:
    net.head.weight.requires_grad_(False)
    net.drop.eval()
    fit(net, find_layers(net, ["fc1"]), tokens(), [batch], seed=0)
    assert net.training and not net.drop.training
    assert [p.requires_grad for p in net.parameters()] == [True, True, False, True]
    assert not net.fc1._forward_hooks


class Twice(nn.Module):
    """One layer on the way twice, and one beside it that reads the same input."""

    def __init__(self, checkpointed: bool | None) -> None:
        super().__init__()
        self.fc, self.beside, self.checkpointed = nn.Linear(4, 4), nn.Linear(4, 4), checkpointed

    def body(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.fc(torch.tanh(self.fc(x)))) + torch.tanh(self.beside(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.checkpointed is None:
            return self.body(x).mean(1)
        return checkpoint(self.body, x, use_reentrant=self.checkpointed).mean(1)


def statistics_of(checkpointed: bool | None, batch: Any, tokens: Any) -> Factors:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Twice(checkpointed).double()
    x = batch[0].clone().requires_grad_(checkpointed is True)
    return fit(net, find_layers(net, ["*"]), tokens(), [(x, batch[1])], seed=0)


def test_a_layer_that_is_called_twice_counts_both(batch: Any, tokens: Any) -> None:
    found = statistics_of(None, batch, tokens)
    assert found.layers["fc"].count == 2 * found.layers["beside"].count == 2 * 12 * 3


def test_layers_that_read_the_same_tensor_share_one_product(
    batch: Any, tokens: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    real = LayerMoments.add_inputs

    def counted(self: LayerMoments, rows: torch.Tensor, product: torch.Tensor | None = None) -> None:
        made.append(self.path if product is None else "shared")
        real(self, rows, product)

    monkeypatch.setattr(LayerMoments, "add_inputs", counted)
    found = statistics_of(None, batch, tokens).layers["beside"]
    x = batch[0].reshape(-1, 4)
    close(found.a, (x.T @ x / len(x)).numpy())
    # fc is called on x and on tanh(fc(x)); beside reads x too
    assert sorted(made) == ["fc", "shared", "shared"]


def test_a_second_pass_over_the_same_tensor_begins_anew(net: Any, batch: Any, truth: Any, tokens: Any) -> None:
    layers = find_layers(net, ["fc1"])
    fit(net, layers, tokens(True), [batch, batch], seed=0)
    found = fit(net, layers, tokens(False), [batch], seed=0, labels="given").layers["fc1"]
    assert found.count == 36
    close(found.a, truth.a())
    close(found.g, truth.g(truth.p - truth.one_hot(batch[1])))


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_counts_nothing_twice(batch: Any, tokens: Any, reentrant: bool) -> None:
    plain, replayed = (statistics_of(c, batch, tokens) for c in (None, reentrant))
    for path, layer in plain.layers.items():
        assert replayed.layers[path].count == layer.count
        close(replayed.layers[path].a, layer.a)
        close(replayed.layers[path].g, layer.g)


def test_conv1d_has_the_statistics_of_the_linear_layer_it_is(net: Any, batch: Any, tokens: Any) -> None:
    plain = fit(net, find_layers(net, ["fc1"]), tokens(), [batch], seed=0)
    turned = Conv1D(net.fc1.out_features, net.fc1.in_features).double()
    turned.weight.data, turned.bias.data = net.fc1.weight.data.T.clone(), net.fc1.bias.data.clone()
    net.fc1 = turned
    found = fit(net, find_layers(net, ["fc1"]), tokens(), [batch], seed=0)
    close(found.layers["fc1"].a, plain.layers["fc1"].a)
    close(found.layers["fc1"].g, plain.layers["fc1"].g)


def test_nan_in_the_weights_names_them(net: Any, batch: Any, tokens: Any) -> None:
    net.head.weight.data[0, 0] = float("nan")
    with pytest.raises(VitmemError, match=r"NaN or infinity in 'head.weight'"):
        fit(net, find_layers(net, ["fc1"]), tokens(), [batch], seed=0)


def test_nan_in_the_activations_names_the_layer(net: Any, batch: Any, tokens: Any) -> None:
    batch[0][3] = float("inf")
    with pytest.raises(VitmemError, match=r"layer 'fc1': NaN or infinity in its activations"):
        fit(net, find_layers(net, ["fc1"]), tokens(), [batch], seed=0)


def test_a_layer_that_saw_nothing_is_named(net: Any, batch: Any, tokens: Any) -> None:
    net.aside = nn.Linear(2, 2).double()
    with pytest.raises(VitmemError, match=r"layer 'aside' saw no data"):
        fit(net, find_layers(net, ["*"]), tokens(), [batch], seed=0)
    with pytest.raises(VitmemError, match=r"layer 'aside' saw no data"):
        fit(net, find_layers(net, ["aside"]), tokens(), [batch], seed=0)


def test_low_precision_is_cast_up_before_it_is_summed(net: Any, batch: Any, truth: Any, tokens: Any) -> None:
    layers = find_layers(net, ["fc1"])
    found = fit(net.to(torch.bfloat16), layers, tokens(), [(batch[0].bfloat16(), batch[1])], seed=0).layers["fc1"]
    x = batch[0].bfloat16().double().reshape(-1, 4)  # (36, 4): the products of bf16 numbers, exact in float64
    np.testing.assert_allclose(found.a.numpy(), (x.T @ x / len(x)).numpy(), rtol=1e-5, atol=1e-6)
