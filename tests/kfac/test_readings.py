"""Who read what: shared inputs, repeated calls, in-place operations, and the layer where NaN began."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vitmem.errors import VitmemError
from vitmem.kfac import Factors, find_layers, fit


class Body(nn.Module):
    """Layers q, k (4 -> 4) and head (4 -> 3) around a ``path`` from (B, T, 4) to (B, T, 4)."""

    def __init__(self, path: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.q, self.k, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.path = path
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.path(self, x).mean(1))


def statistics(path: Callable[[Any, Tensor], Tensor], batch: Any, tokens: Any, **options: Any) -> Factors:
    net = Body(path)
    return fit(net, find_layers(net, ["*"]), tokens(), [batch], seed=0, labels="given", **options)


def mean_of(*tensors: Tensor) -> Any:
    rows = np.concatenate([t.detach().numpy().reshape(-1, t.shape[-1]) for t in tensors])
    return rows.T @ rows / len(rows)


def test_layers_that_read_the_same_tensor(batch: Any, tokens: Any) -> None:
    found = statistics(lambda m, x: torch.tanh(m.q(x)) * torch.tanh(m.k(x)), batch, tokens)
    for path in ("q", "k"):
        np.testing.assert_allclose(found.layers[path].a.numpy(), mean_of(batch[0]), rtol=1e-10)
        assert found.layers[path].count == 36


def test_a_call_that_shares_and_one_that_does_not(batch: Any, tokens: Any) -> None:
    found = statistics(lambda m, x: torch.tanh(m.q(torch.tanh(m.q(x)))) + torch.tanh(m.k(x)), batch, tokens)
    x = batch[0]
    once = torch.tanh(Body(lambda m, x: x).q(x))
    np.testing.assert_allclose(found.layers["q"].a.numpy(), mean_of(x, once), rtol=1e-10)
    np.testing.assert_allclose(found.layers["k"].a.numpy(), mean_of(x), rtol=1e-10)
    assert found.layers["q"].count == 2 * found.layers["k"].count


def test_the_same_input_twice_counts_twice(batch: Any, tokens: Any) -> None:
    found = statistics(lambda m, x: torch.tanh(m.q(x)) * m.q(x) + m.k(x), batch, tokens)
    np.testing.assert_allclose(found.layers["q"].a.numpy(), mean_of(batch[0]), rtol=1e-10)
    assert found.layers["q"].count == 2 * found.layers["k"].count


def test_an_input_by_keyword(batch: Any, tokens: Any) -> None:
    plain, named = (
        statistics(path, batch, tokens)
        for path in (lambda m, x: m.k(torch.tanh(m.q(x))), lambda m, x: m.k(input=torch.tanh(m.q(input=x))))
    )
    assert all(torch.equal(named.layers[p].a, layer.a) for p, layer in plain.layers.items())


def test_in_place_work_on_an_output_changes_nothing(batch: Any, tokens: Any) -> None:
    # The output of the lowest layer is where the graph begins.
    plain, in_place = (
        statistics(path, batch, tokens) for path in (lambda m, x: m.k(m.q(x).relu()), lambda m, x: m.k(m.q(x).relu_()))
    )
    for p, layer in plain.layers.items():
        assert torch.equal(in_place.layers[p].a, layer.a)
        assert torch.equal(in_place.layers[p].g, layer.g)


def test_an_input_that_is_changed_after_it_was_read_is_refused(batch: Any, tokens: Any) -> None:
    def residual(m: Any, x: Tensor) -> Tensor:
        h = torch.tanh(m.q(x)) * 1.0
        out = m.k(h)
        h += 1
        return out

    with pytest.raises(VitmemError, match=r"layer 'k': its input was changed in place"):
        statistics(residual, batch, tokens)


def test_rows_that_were_copied_are_those_that_were_read(batch: Any, tokens: Any) -> None:
    # One tensor object, changed in place between the two layers that read it.
    def path(m: Any, x: Tensor) -> Tensor:
        h = x * 1.0
        out = torch.tanh(m.q(h))
        h += 1
        return out + torch.tanh(m.k(h))

    net = Body(path)
    found = fit(net, find_layers(net, ["q", "k"]), tokens(True), [batch], seed=0, labels="given")
    first = batch[0][:, 0]
    np.testing.assert_allclose(found.layers["q"].a.numpy(), mean_of(first), rtol=1e-10)
    np.testing.assert_allclose(found.layers["k"].a.numpy(), mean_of(first + 1), rtol=1e-10)


def test_nan_in_a_gradient_names_the_layer_nearest_to_its_origin(batch: Any, tokens: Any) -> None:
    # d sqrt(0) is infinite, d 0^2 zero: their product is NaN between k and the head, and spoils q below too
    with pytest.raises(VitmemError, match=r"layer 'k': NaN or infinity in its gradients"):
        statistics(lambda m, x: (0 * m.k(torch.tanh(m.q(x)))).square().sqrt(), batch, tokens)


@pytest.mark.parametrize("width", [3, 128, 300])
def test_products_by_blocks_and_more_batches_than_a_flush(width: int, tokens: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 2, width, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (40,), generator=generator)
    net = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Flatten(), nn.Linear(2 * width, 3)).double()
    batches = list(zip(x.split(2), y.split(2), strict=True))
    found = fit(net, find_layers(net, ["*"]), tokens(), batches, seed=0, moments="coupled", labels="given")
    layer = found.layers["0"]
    np.testing.assert_allclose(layer.a.numpy(), mean_of(x), rtol=1e-10, atol=1e-12)
    for matrix in (layer.a, layer.g, layer.a_coupled, layer.g_coupled):
        assert torch.equal(matrix, matrix.T)
        assert torch.linalg.eigvalsh(matrix)[0] > -1e-12
    torch.testing.assert_close(layer.a_coupled.diagonal(), layer.a_diagonal)
    torch.testing.assert_close(layer.g_coupled.diagonal(), layer.g_diagonal)
