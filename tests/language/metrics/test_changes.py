"""Paired bootstrap of what an edit changed: against the binomial law that a resampled count follows."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import binom

from vitmem.language.metrics.changes import _named, changes
from vitmem.language.metrics.passage_predictions import PassagePredictions
from vitmem.language.metrics.token_hits import TokenHits


def test_the_interval_is_that_of_a_resampled_count() -> None:
    base = torch.ones(200, dtype=torch.bool)
    edited = base.clone()
    edited[:60] = False  # a resample holds Binomial(200, 0.3) of these
    found = _named("memorized", edited, base)
    assert found["memorized_change"] == pytest.approx(-0.3)
    low, high = (-binom.ppf(q, 200, 0.3) / 200 for q in (0.975, 0.025))
    assert found["memorized_change_low"] == pytest.approx(low, abs=0.011)
    assert found["memorized_change_high"] == pytest.approx(high, abs=0.011)
    assert found == _named("memorized", edited, base)  # the same draws every time


def test_pairs_matter() -> None:
    generator = torch.Generator().manual_seed(0)
    hard = torch.randn(50, generator=generator).double()
    found = _named("loss", hard + 0.1, hard)
    assert found["loss_change_low"] == pytest.approx(0.1) == found["loss_change_high"]


def test_passages_by_kind() -> None:
    def hits(recited: list[int], loss: float) -> TokenHits:
        hit = torch.zeros(len(recited), 20, dtype=torch.bool)
        for n, run in enumerate(recited):
            hit[n, :run] = True
        real = torch.ones_like(hit)
        real[:, 18:] = False  # what stands in padding counts for nothing
        return TokenHits(hit, torch.where(real, loss, 99.0), real, torch.arange(2, len(recited)), hit.long())

    def passages(famous: list[int], loss: float) -> PassagePredictions:
        return PassagePredictions({"famous": hits(famous, 1.0), "control": hits([0] * 6, loss)})

    found = changes(passages([0, 0, 16, 16, 2, 3], 2.5), passages([20, 20, 17, 18, 16, 3], 2.0))
    assert found["memorized_change"] == -0.25  # of the measured four, one is no longer recited
    assert -1 <= found["memorized_change_low"] < -0.25 < found["memorized_change_high"] <= 0
    assert found["control_loss_change"] == pytest.approx(0.5) == found["control_loss_change_low"]
