"""Bands of directions that are removed, against dense algebra in float64."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from vitmem.contracts.edit import check_method
from vitmem.edits.band_removed import BandRemoved, band_ends
from vitmem.edits.base import EditContext
from vitmem.errors import InputError
from vitmem.registry import EDITS

BANDS = ("0-10", "10-25", "25-50", "50-100")


@pytest.mark.parametrize("band", BANDS)
def test_a_band_of_a_is_projected_out(context: EditContext, band: str) -> None:
    result = BandRemoved(band=band).edit(context)
    for path, layer in context.layers.items():
        weight, a = layer.weight.detach().double().numpy(), context.statistics(path).a.double().numpy()
        q = weight.shape[1]
        vectors = np.linalg.eigh(a)[1][:, ::-1]  # the largest eigenvalue first
        low, high = (round(int(end) / 100 * q) for end in band.split("-"))
        removed = vectors[:, low:high]
        expected = weight @ (np.eye(q) - removed @ removed.T)
        np.testing.assert_allclose(result.weights[path].double().numpy(), expected, atol=1e-5)
        report = result.reports[path]
        assert report.kept_pairs == weight.shape[0] * (q - (high - low))
        assert report.change_norm == pytest.approx(np.linalg.norm(weight @ removed), rel=1e-5)
        assert report.kept_energy == pytest.approx(1 - np.linalg.norm(weight @ removed) ** 2 / (weight**2).sum())


@pytest.mark.parametrize("shape", [(6, 10), (10, 6)])
def test_a_band_of_the_singular_vectors_goes_with_its_singular_values(shape: tuple[int, int]) -> None:
    weight = np.random.default_rng(0).standard_normal(shape)
    layer = torch.nn.Linear(shape[1], shape[0]).double()
    layer.weight.data = torch.from_numpy(weight)
    bare = EditContext(layer, {"": layer}, None, seed=0)
    u, s, vt = np.linalg.svd(weight, full_matrices=False)
    for band, low, high in (("0-50", 0, 3), ("50-100", 3, 6), ("25-50", 2, 3)):  # of six, whichever side is longer
        left = s.copy()
        left[low:high] = 0
        result = BandRemoved(band=band, basis="svd").edit(bare)
        np.testing.assert_allclose(result.weights[""].numpy(), (u * left) @ vt, atol=1e-13)
    assert not BandRemoved(band="0-100", basis="svd").edit(bare).weights[""].abs().gt(1e-13).any()


@pytest.mark.parametrize("basis", ["kfac", "svd"])
def test_the_bands_add_up_to_the_weight(context: EditContext, basis: Any) -> None:
    wide = {path: layer.weight.detach().double() for path, layer in context.layers.items()}
    removed = [BandRemoved(band=band, basis=basis).edit(context).weights for band in BANDS]
    for path, weight in wide.items():
        torch.testing.assert_close(sum(weight - new[path].double() for new in removed), weight, atol=1e-5, rtol=0)  # type: ignore[arg-type]


def test_what_is_no_band_is_said_in_a_sentence(context: EditContext) -> None:
    for band in ("10", "10-5", "50-50", "0-101", "-5-10", "a-b", "1e1-20"):
        with pytest.raises(InputError, match=r"expected 'low-high' in per cent[^\n]*got"):
            EDITS.get("band_removed").parse({"band": band}, "edits")
        with pytest.raises(InputError, match="expected 'low-high'"):
            band_ends(band)
    assert band_ends("2.5-10") == (0.025, 0.1)
    assert BandRemoved(band="07.50-10.0").band == "7.5-10"
    with pytest.raises(InputError, match="layer '0': band 0-1 holds none of its 12 directions; take a wider one"):
        BandRemoved(band="0-1").edit(context)
    with pytest.raises(InputError, match="no statistics of layer '0'"):
        BandRemoved(band="0-10").edit(replace(context, factors=None))


def test_the_basis_says_what_is_read() -> None:
    kfac, svd = BandRemoved(band="0-10"), BandRemoved(band="0-10", basis="svd")
    assert kfac.needs is not None and kfac.information == "unlabelled"
    assert svd.needs is None and svd.information == "data-free"
    assert all(check.ok for check in check_method("band_removed", {"band": "10-50", "basis": "svd"}))
