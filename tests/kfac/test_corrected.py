"""The second pass of EK-FAC against per-example gradients in float64, and the selection from a table of all pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vitmem.errors import InputError, VitmemError
from vitmem.kfac import Factors, corrected, find_layers, fit, pairs
from vitmem.kfac.selection import largest_by_fraction, largest_by_mass


def both_passes(net: Any, task: Any, batches: Any, **options: Any) -> Factors:
    layers = find_layers(net, ["*"])
    return corrected(net, layers, task, iter(batches), fit(net, layers, task, iter(batches), **options))


def test_a_pair_has_the_mean_square_of_the_gradient_of_each_example(net: Any, batch: Any, tokens: Any) -> None:
    found = both_passes(net, tokens(), [batch], seed=0, labels="given").layers["head"]
    u, v = found.eigen_g.vectors, found.eigen_a.vectors
    squares = []
    net.eval()
    for x, label in zip(*batch, strict=True):
        loss = nn.functional.cross_entropy(net(x[None]), label[None])
        (gradient,) = torch.autograd.grad(loss, net.head.weight)  # (p, q)
        squares.append((u.T @ gradient @ v).square())
    torch.testing.assert_close(found.pairs, torch.stack(squares).mean(0), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("first", [False, True])
def test_every_position_counts_as_an_example(net: Any, batch: Any, truth: Any, tokens: Any, first: bool) -> None:
    found = both_passes(net, tokens(first), [batch], seed=0, labels="given").layers["fc1"]
    some = slice(0, 1) if first else slice(None)
    a = truth.x[:, some].reshape(-1, 4)
    g = truth.gradient(truth.p - truth.one_hot(batch[1]))[:, some].reshape(len(a), -1)
    u, v = found.eigen_g.vectors.numpy(), found.eigen_a.vectors.numpy()
    np.testing.assert_allclose(found.pairs.numpy(), ((g @ u) ** 2).T @ ((a @ v) ** 2) / len(a), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("labels", ["sampled", "exact", "logit_jacobian"])
def test_the_labels_are_those_of_the_first_pass_whatever_the_batches(
    net: Any, batch: Any, tokens: Any, labels: Any
) -> None:
    options = {"seed": 3, "labels": labels, "label_samples": 2}
    whole = both_passes(net, tokens(), [batch], **options)
    small = list(zip(*(part.split(5) for part in batch), strict=True))
    layers = find_layers(net, ["*"])
    parts = corrected(net, layers, tokens(), small, fit(net, layers, tokens(), [batch], **options))
    coupled = fit(net, layers, tokens(), [batch], moments="coupled", **options)
    for path, layer in whole.layers.items():
        torch.testing.assert_close(parts.layers[path].pairs, layer.pairs, rtol=1e-9, atol=1e-14)
        # the sums over one side are the coupled moments of the other, which need no second pass
        g, a = coupled.layers[path].g_coupled, coupled.layers[path].a_coupled
        for total, moment, u in ((layer.pairs.sum(1), g, layer.g_vectors), (layer.pairs.sum(0), a, layer.a_vectors)):
            torch.testing.assert_close(total, (u.T @ moment @ u).diagonal(), rtol=1e-9, atol=1e-14)


def test_what_is_read_back_selects_the_same_pairs(net: Any, batch: Any, tokens: Any, tmp_path: Path) -> None:
    kept = both_passes(net, tokens(), [batch], seed=0)
    kept.save(tmp_path / "factors.safetensors")
    found, read = (pairs(f.layers["fc1"], "ekfac") for f in (kept, Factors.load(tmp_path / "factors.safetensors")))
    assert torch.equal(found.table, read.table) and torch.equal(found.output.vectors, read.output.vectors)
    mask = found.by_mass(0.6)
    assert found.mass_of(mask) >= 0.6 > found.mass_of(mask) - float((found.table[mask] / found.table.sum()).min())
    one = pairs(kept.layers["fc1"], "ekfac", "A")
    assert one.table is None and (one.rows == 1).all()
    torch.testing.assert_close(one.columns, kept.layers["fc1"].pairs.sum(0).sort(descending=True).values)


def test_a_second_pass_over_other_data_is_refused(net: Any, batch: Any, tokens: Any) -> None:
    layers = find_layers(net, ["*"])
    factors = fit(net, layers, tokens(), [batch], seed=0)
    with pytest.raises(InputError, match="a second pass"):
        pairs(factors.layers["fc1"], "ekfac")
    with pytest.raises(VitmemError, match="layer 'fc1': the second pass saw 15 positions, the first 36"):
        corrected(net, layers, tokens(), [tuple(part[:5] for part in batch)], factors)
    with pytest.raises(VitmemError, match="the second pass saw 0 positions"):
        corrected(net, layers, tokens(), [], factors)
    net.fc1.weight.data.mul_(2)
    with pytest.raises(InputError, match="another model"):
        corrected(net, layers, tokens(), [batch], factors)


# Small whole numbers make ties and zeros frequent, and every sum exact.
tables = (
    st.integers(1, 5)
    .flatmap(
        lambda width: st.lists(st.lists(st.integers(0, 6), min_size=width, max_size=width), min_size=1, max_size=5)
    )
    .filter(lambda rows: any(map(any, rows)))
)


@settings(max_examples=200, deadline=None)
@given(tables, st.sampled_from([0.01, 0.25, 0.5, 0.75, 0.9, 1.0]))
def test_the_largest_of_a_table_are_the_prefix_of_a_full_sort(rows: list[list[int]], share: float) -> None:
    table = np.array(rows, float)
    by = sorted(range(table.size), key=lambda at: (-table.flat[at], at))
    total, count = 0.0, 0
    while total < share * table.sum():
        total, count = total + table.flat[by[count]], count + 1
    expected = np.isin(np.arange(table.size), by[: table.size if share == 1 else count]).reshape(table.shape)
    np.testing.assert_array_equal(largest_by_mass(torch.from_numpy(table), share).numpy(), expected)
    found = largest_by_fraction(torch.from_numpy(table), share).numpy()
    np.testing.assert_array_equal(np.flatnonzero(found), sorted(by[: max(1, round(share * table.size))]))


def test_a_table_that_says_nothing_is_refused() -> None:
    for table, message in ((torch.zeros(2, 3), "all are zero"), (torch.tensor([[1.0, torch.nan]]), "finite numbers")):
        with pytest.raises(InputError, match=message):
            largest_by_mass(table, 0.5)
    with pytest.raises(InputError, match="fraction: expected a number in"):
        largest_by_fraction(torch.ones(2, 2), 0)
