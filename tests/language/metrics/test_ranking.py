"""nDCG@10 against scikit-learn and by hand, and the drift of losses on rows small enough to count by eye."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import ndcg_score
from torch import Tensor

from vitmem.language.metrics.drift import drift
from vitmem.language.metrics.passage_predictions import PassagePredictions
from vitmem.language.metrics.ranking import graded_ndcg, overlap_ndcg, ranking
from vitmem.language.metrics.token_hits import TokenHits

BASE = torch.arange(10, dtype=torch.int32)[None]


def random_tops(n: int, vocabulary: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.rand(n, vocabulary, generator=generator).topk(10).indices.int() for _ in range(2))
    return one, other


def test_reversed_and_equal() -> None:
    reverse = BASE.flip(1)
    assert float(graded_ndcg(reverse, BASE)) == pytest.approx(0.668, abs=5e-4)
    assert float(overlap_ndcg(reverse, BASE)) == 1.0
    top, _ = random_tops(1000, 50)
    assert graded_ndcg(top, top).mean().item() == overlap_ndcg(top, top).mean().item() == 1.0
    assert graded_ndcg(BASE + 10, BASE).tolist() == overlap_ndcg(BASE + 10, BASE).tolist() == [0.0]


def test_graded_is_that_of_scikit_learn() -> None:
    top, base = random_tops(40, 15)
    worth, score = torch.zeros(40, 15, dtype=torch.float64), torch.zeros(40, 15, dtype=torch.float64)
    ranks = torch.arange(10, 0, -1, dtype=torch.float64).expand(40, 10)
    worth.scatter_(1, base.long(), ranks)
    score.scatter_(1, top.long(), ranks)
    expected = [ndcg_score(w[None], s[None], k=10) for w, s in zip(worth.numpy(), score.numpy(), strict=True)]
    assert graded_ndcg(top, base).tolist() == pytest.approx(expected, abs=1e-12)


def test_both_by_hand() -> None:
    # the base's three likeliest are 7 8 9; the edited model says 9, then one that is not among them, then 7
    top, base = torch.tensor([[9, 1, 7]]), torch.tensor([[7, 8, 9]])
    ideal = 3 + 2 / math.log2(3) + 1 / 2
    assert float(graded_ndcg(top, base)) == pytest.approx((1 + 3 / 2) / ideal, abs=1e-15)
    assert float(overlap_ndcg(top, base)) == pytest.approx((3 + 1 / 2) / ideal, abs=1e-15)


def hits(loss: list[float], said: list[int], top: Tensor | None = None) -> TokenHits:
    """One measured row of three tokens, the last one padding, and one that is not measured."""
    rows, real = torch.tensor([0]), torch.tensor([[True, True, False]] * 2)
    losses = torch.tensor([loss, [7.0, 7.0, 7.0]])
    return TokenHits(torch.zeros(2, 3).bool(), losses, real, rows, torch.tensor([said, [0, 0, 0]]), top)


def predictions(loss: list[float], said: list[int], top: Tensor) -> PassagePredictions:
    control = hits([x / 2 for x in loss], said[::-1])
    return PassagePredictions({"held_out": hits(loss, said, top), "control": control})


def test_a_metric_counts_real_tokens_of_measured_rows() -> None:
    tops = torch.stack([BASE[0], BASE[0].flip(0), BASE[0] + 10]).expand(2, 3, 10)
    base = predictions([1.0, 4.0, 0.0], [1, 2, 3], BASE.expand(2, 3, 10))
    edited = predictions([2.0, 1.0, 9.0], [1, 5, 5], tops)
    assert ranking(edited, base) == {
        "ndcg": pytest.approx((1 + float(graded_ndcg(BASE.flip(1), BASE))) / 2), "ndcg_overlap": 1.0,
    }  # fmt: skip
    assert drift(edited, base) == {
        "drift": 2.0, "drift_signed": -1.0, "drift_changed": 0.5,
        "control_drift": 1.0, "control_drift_signed": -0.5, "control_drift_changed": 1.0,
    }  # fmt: skip
    assert set(drift(base, base).values()) == {0.0}
