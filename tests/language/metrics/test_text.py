"""Recitation and skills on rows small enough to count by eye, and edit distances against the textbook's table."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from vitmem.errors import VitmemError
from vitmem.language.metrics.recitation import levenshtein, recitation, suffixes
from vitmem.language.metrics.skills import held_out_text, skills
from vitmem.language.metrics.text_predictions import TextPredictions
from vitmem.language.metrics.token_hits import TokenHits
from vitmem.metrics.measure import measure

GOLD = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8], [1, 1, 2, 2], [9, 8, 7, 6]])
#                     word for word     last wrong       one inserted     all wrong (not measured)
SAID = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 0], [0, 1, 1, 2], [0, 0, 0, 0]])


def predictions(recited: Tensor = SAID, right: str = "110010", hit: str = "110000") -> TextPredictions:
    return TextPredictions(
        recited=recited,
        gold=GOLD,
        strings=torch.arange(3),
        right={"sums": bits(right), "facts": bits("110010")},
        exposure={"sums": torch.zeros(6), "facts": torch.tensor([9, 8, 1, 1, 4, 3])},
        suffix_hit=SAID == GOLD,
        suffix_loss=torch.tensor([[0.0, 0, 0, 0], [0, 0, 0, 3], [1, 1, 1, 1], [9, 9, 9, 9]]),
        perturbed=torch.tensor([-1, 2, 4, 0]),
        held_out=TokenHits(
            hit=bits(hit).reshape(2, 3),
            loss=torch.tensor([[0.0, 1.0, 9.0], [2.0, 5.0, 9.0]]),
            real=torch.tensor([[True, True, False], [True, True, False]]),
            rows=torch.tensor([0]),
            said=torch.zeros(2, 3, dtype=torch.int32),
            top=torch.arange(10, dtype=torch.int32).expand(2, 3, 10),
        ),
    )


def bits(text: str) -> Tensor:
    return torch.tensor([c == "1" for c in text])


def test_recitation() -> None:
    found = recitation(predictions(), predictions())
    # distances 0, 1 and 2 (drop the 0 before, add a 2 behind); only 0 and 1 are a quarter at most
    assert found == {
        "memorized": pytest.approx(1 / 3), "loose": pytest.approx(2 / 3),
        "distance": pytest.approx((0 + 1 + 2) / 12), "prefix": pytest.approx((4 + 3 + 0) / 3),
    }  # fmt: skip


def test_suffixes() -> None:
    found = suffixes(predictions(), predictions())
    # 4 + 3 + 2 of 12 tokens are right; the first of the three strings was not asked for with perturbed prompts
    assert found == {
        "suffix_loss": pytest.approx(7 / 12),
        "suffix_accuracy": pytest.approx(9 / 12),
        "prefix_perturbed": 3,
    }
    nobody = dataclasses.replace(predictions(), perturbed=torch.full((4,), -1))
    assert "prefix_perturbed" not in suffixes(nobody, predictions())


def table(one: list[int], other: list[int]) -> int:
    """Wagner and Fischer's table."""
    last = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            row.append(min(row[-1] + 1, last[j] + 1, last[j - 1] + (a != b)))
        last = row
    return last[-1]


def test_edit_distances_are_those_of_the_table() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randint(0, 4, (50, 9), generator=generator) for _ in range(2))
    expected = [table(a, b) for a, b in zip(one.tolist(), other.tolist(), strict=True)]
    assert levenshtein(one, other).tolist() == expected


def test_skills() -> None:
    # one answer lost, one won: accuracies are compared, not single answers
    found = skills(predictions(right="100011"), predictions())
    assert found["accuracy_sums"] == found["retention_sums"] / 2 == pytest.approx(3 / 6)
    assert skills(predictions(right="111011"), predictions())["retention_sums"] == pytest.approx(5 / 3)
    # exposures 1 1 | 3 4 | 8 9: rare 00, middle 01, frequent 11
    names = ("rare", "middle", "frequent")
    assert [found[f"accuracy_facts_{name}"] for name in names] == [0.0, 0.5, 1.0]
    assert "retention_facts_rare" not in found and "accuracy_sums_rare" not in found


def test_held_out_text() -> None:
    assert held_out_text(predictions(), predictions()) == {
        "validation": 1.0, "perplexity": pytest.approx(math.exp(0.5)),
    }  # fmt: skip


def test_all_metrics_of_text_and_none_of_images() -> None:
    values = measure(predictions(), predictions())
    assert {"memorized", "loose", "accuracy_facts", "validation", "perplexity", "suffix_loss"} <= set(values)
    assert values["ndcg"] == values["ndcg_overlap"] == 1 and values["drift"] == values["drift_changed"] == 0
    assert "recovered" not in values


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(VitmemError, match="recited"):
        dataclasses.replace(predictions(), recited=SAID[:, :3])
    with pytest.raises(VitmemError, match="NaN or infinity"):
        dataclasses.replace(predictions(), suffix_loss=torch.full((4, 4), float("nan")))
    with pytest.raises(VitmemError, match="NaN or infinity"):
        dataclasses.replace(predictions().held_out, loss=torch.full((2, 3), float("nan")))
    with pytest.raises(VitmemError, match="equal shapes"):
        dataclasses.replace(predictions().held_out, top=torch.zeros(2, 2, 10))
