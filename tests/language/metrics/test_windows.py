"""Windows whose suffixes differ in length, small enough to count by eye."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from vitmem.errors import VitmemError
from vitmem.language.metrics.token_hits import TokenHits
from vitmem.language.metrics.window_predictions import WindowPredictions
from vitmem.metrics.measure import measure

GOLD = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0], [7, 8, 9, 0], [9, 8, 7, 6]])
REAL = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]).bool()
#                  one inserted, word for word, two of three right, all wrong (not measured)
SAID = torch.tensor([[1, 9, 2, 3], [5, 6, 0, 0], [7, 8, 1, 0], [0, 0, 0, 0]])
HELD = torch.tensor([[True, False], [False, False]])


def predictions(said: torch.Tensor = SAID) -> WindowPredictions:
    loss = torch.tensor([[1.0, 1, 1, 1], [2, 2, 50, 50], [0, 0, 4, 50], [50, 50, 50, 50]])
    return WindowPredictions(
        recited=said,
        gold=GOLD,
        suffix=TokenHits((said == GOLD), loss, REAL, torch.arange(3), said),
        held_out=TokenHits(
            HELD, torch.tensor([[1.0, 3.0], [9.0, 9.0]]), torch.ones_like(HELD), torch.tensor([0]), HELD.long()
        ),
    )


def test_each_window_is_measured_over_its_own_suffix() -> None:
    found = measure(predictions(), predictions())
    # distances 2 of 4 (put a 9 in, drop the 4), 0 of 2, 1 of 3; prefixes 1, 2, 2
    assert found == {
        "memorized": pytest.approx(1 / 3), "loose": pytest.approx(1 / 3),
        "distance": pytest.approx((1 / 2 + 0 + 1 / 3) / 3), "prefix": pytest.approx(5 / 3),
        "suffix_loss": pytest.approx((4 + 4 + 4) / 9), "suffix_accuracy": pytest.approx(5 / 9),
        "validation": 0.5, "perplexity": pytest.approx(math.exp(2.0)),
        "drift": 0.0, "drift_signed": 0.0, "drift_changed": 0.0, "memorized_change": 0.0,
        "memorized_change_low": 0.0, "memorized_change_high": 0.0,
    }  # fmt: skip


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(VitmemError, match="window predictions: expected equal shapes"):
        dataclasses.replace(predictions(), recited=SAID[:, :3])
