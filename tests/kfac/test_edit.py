"""The edit against four lines of numpy, and an undo that restores every bit."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from vitmem.errors import InputError, VitmemError
from vitmem.kfac import (
    edit_matrix,
    edited,
    find_layers,
    fit,
    mask_of,
    pairs,
    staircase_by_fraction,
    staircase_by_mass,
    weight_matrix,
)


@pytest.fixture
def factors(net: Any, batch: Any, tokens: Any) -> Any:
    return fit(net, find_layers(net, ["*"]), tokens(), [batch], seed=0, moments="coupled").layers["fc1"]


def test_the_edit_is_four_lines(net: Any, factors: Any) -> None:
    found = pairs(factors)
    staircase = staircase_by_mass(found.rows, found.columns, 0.75)
    new, report = edit_matrix(net.fc1.weight.detach(), found.output, found.input, mask_of(staircase, 4), 0.8)

    lam, u_g = (x[..., ::-1] for x in np.linalg.eigh(factors.g.numpy()))
    mu, u_a = (x[..., ::-1] for x in np.linalg.eigh(factors.a.numpy()))
    w = net.fc1.weight.detach().numpy()
    c = u_g.T @ w @ u_a  # (p, q)
    by = np.argsort(-np.outer(lam.clip(0), mu).ravel(), kind="stable")
    mass = np.outer(lam.clip(0), mu).ravel()[by]
    mask = np.zeros(c.size)
    mask[by[: np.searchsorted(mass.cumsum(), 0.75 * mass.sum()) + 1]] = 1
    expected = u_g @ (c * mask.reshape(c.shape)) @ u_a.T

    np.testing.assert_allclose(new.numpy(), expected, atol=1e-12)
    assert report.kept_pairs == mask.sum()
    assert report.kept_energy == pytest.approx(((c * mask.reshape(c.shape)) ** 2).sum() / (c**2).sum())
    assert report.relative_change == pytest.approx(np.linalg.norm(expected - w) / np.linalg.norm(w))
    assert report.kept_mass == 0.8


@pytest.mark.parametrize(
    ("importance", "side"),
    [("foof", "both"), ("foof", "A"), *itertools.product(["kfac", "ckfac", "tkfac", "identity"], ["both", "A", "G"])],
)
def test_every_importance_is_sorted_and_its_bases_are_orthonormal(factors: Any, importance: Any, side: Any) -> None:
    found = pairs(factors, importance, side)
    for values in (found.rows, found.columns):
        assert (values.diff() <= 0).all() and (values >= 0).all()
    for basis, n in ((found.output, 5), (found.input, 4)):
        eye = torch.eye(n, dtype=torch.float64)
        torch.testing.assert_close(basis.back(basis.into(eye)), eye)
    if side == "A":
        assert (found.rows == 1).all()


def test_the_coupled_importance_has_the_sums_of_the_pairwise_one(
    net: Any, batch: Any, truth: Any, factors: Any, tokens: Any
) -> None:
    # identity of method.md: row and column sums of mean (u_iᵀ g)² (v_jᵀ a)² are the coupled moments
    given = fit(net, find_layers(net, ["fc1"]), tokens(), [batch], seed=0, labels="given", moments="coupled").layers[
        "fc1"
    ]
    a = truth.x.reshape(-1, 4)
    g = truth.gradient(truth.p - truth.one_hot(batch[1])).reshape(len(a), -1)
    u, v = given.eigen_g.vectors.numpy(), given.eigen_a.vectors.numpy()
    pairwise = ((g @ u) ** 2).T @ ((a @ v) ** 2) / len(a)  # (p, q)
    found = pairs(given, "ckfac")
    np.testing.assert_allclose(np.sort(pairwise.sum(1))[::-1], found.rows.numpy(), rtol=1e-9)
    np.testing.assert_allclose(np.sort(pairwise.sum(0))[::-1] / given.trace, found.columns.numpy(), rtol=1e-9)


def test_the_coupled_moments_in_their_own_eigenvectors(factors: Any) -> None:
    found = pairs(factors, "tkfac")
    for basis, values, moment in (
        (found.output, found.rows, factors.g_coupled),
        (found.input, found.columns * factors.trace, factors.a_coupled),
    ):
        torch.testing.assert_close(basis.vectors @ values.diag() @ basis.vectors.T, moment)
    assert float(found.rows.sum() * found.columns.sum()) == pytest.approx(factors.trace)


def test_the_importance_of_inputs_alone_keeps_whole_columns(net: Any, factors: Any) -> None:
    found, a = pairs(factors, "foof"), factors.eigen_a
    assert (found.rows == 1).all() and torch.equal(found.columns, a.values)
    mask = mask_of(staircase_by_fraction(found.rows, found.columns, 0.5), 4)  # two of the four directions
    new, _ = edit_matrix(net.fc1.weight.detach(), found.output, found.input, mask)
    kept = a.vectors[:, :2] @ a.vectors[:, :2].T
    torch.testing.assert_close(new, net.fc1.weight.detach() @ kept)
    with pytest.raises(InputError, match="'foof' uses the input side only"):
        pairs(factors, "foof", "G")


def test_an_importance_without_its_moments(net: Any, batch: Any, tokens: Any) -> None:
    plain = fit(net, find_layers(net, ["fc1"]), tokens(), [batch], seed=0).layers["fc1"]
    with pytest.raises(InputError, match="moments='coupled'"):
        pairs(plain, "ckfac")
    with pytest.raises(InputError, match="moments='coupled'"):
        pairs(plain, "tkfac")
    with pytest.raises(InputError, match="moments='diagonal'"):
        pairs(plain, "identity")


def test_a_full_mask_is_the_weight_itself(net: Any, factors: Any) -> None:
    found = pairs(factors)
    new, report = edit_matrix(net.fc1.weight.detach(), found.output, found.input, torch.ones(5, 4, dtype=torch.bool))
    assert torch.equal(new, net.fc1.weight)
    assert report.change_norm == 0


def test_the_exit_restores_every_bit_also_after_an_error(net: Any) -> None:
    before = {k: v.clone() for k, v in net.state_dict().items()}
    new = {"fc1": torch.randn(5, 4).double(), "head": torch.randn(3, 5).double(), "fc1.bias": torch.randn(5).double()}
    with pytest.raises(RuntimeError), edited(net, new):
        assert torch.equal(net.fc1.weight, new["fc1"]) and torch.equal(net.fc1.bias, new["fc1.bias"])
        raise RuntimeError
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_conv1d_is_edited_in_its_own_orientation() -> None:
    net = nn.Sequential(Conv1D(5, 4))  # 4 inputs, 5 outputs
    new = torch.randn(5, 4)
    with edited(net, {"0": new}):
        assert torch.equal(net[0].weight, new.T)
        assert torch.equal(weight_matrix(net[0]), new)


@pytest.mark.parametrize(
    ("weights", "error", "says"),
    [
        ({"fc1": torch.zeros(4, 5)}, InputError, r"layer 'fc1': expected a weight \(5, 4\), got \(4, 5\)"),
        ({"fc1.bias": torch.zeros(4)}, InputError, r"layer 'fc1.bias': expected a weight \(5,\), got \(4,\)"),
        ({"nowhere": torch.zeros(4, 5)}, InputError, "layer 'nowhere': the model has no such module"),
        ({"head": torch.full((3, 5), float("nan"))}, VitmemError, "layer 'head': NaN or infinity"),
    ],
)
def test_what_does_not_fit_changes_nothing(net: Any, weights: Any, error: Any, says: str) -> None:
    before = {k: v.clone() for k, v in net.state_dict().items()}
    fine = {"fc1": torch.zeros(5, 4)}
    with pytest.raises(error, match=says), edited(net, {**fine, **weights}):
        pass
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
