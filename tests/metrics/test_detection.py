"""Noisy-label detection against scikit-learn, with ties and with scores far outside [0, 1]."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

import vitmem.metrics.predictions as predictions
from vitmem.metrics.detection import detect, detection
from vitmem.metrics.predictions import Predictions, loss, made_up, negative_margin


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=2, max_size=40))
def test_against_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    scores = [100.0 * s for s, _ in pairs]
    noisy = [n for _, n in pairs]
    if all(noisy) or not any(noisy):
        return
    auroc, precision = detect(torch.tensor(scores, dtype=torch.float64), torch.tensor(noisy))
    assert auroc == pytest.approx(roc_auc_score(noisy, scores), abs=1e-6)
    assert precision == pytest.approx(average_precision_score(noisy, scores), abs=1e-6)


def test_scores_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 1.0]])
    labels = torch.tensor([0, 2])
    assert negative_margin(logits, labels).tolist() == [-1.0, 2.0]
    p = logits.double().softmax(1)
    assert loss(logits, labels).tolist() == pytest.approx([-float(p[0, 0].log()), -float(p[1, 2].log())])


@pytest.mark.parametrize("at_once", [1, 25, 10**6])
def test_some_rows_at_a_time_are_all_rows_to_the_bit(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = made_up(0)
    monkeypatch.setattr(predictions, "AT_ONCE", at_once)
    logits, given = found.train_logits, found.given
    whole = torch.nn.functional.cross_entropy(logits.double(), given, reduction="none")
    assert torch.equal(found.losses, whole) and torch.equal(loss(logits[7:9], given[7:9]), whole[7:9])
    others = [[x for k, x in enumerate(row) if k != label] for row, label in zip(logits, given.tolist(), strict=True)]
    margins = [float(max(rest) - row[label]) for rest, row, label in zip(others, logits, given.tolist(), strict=True)]
    assert found.negative_margins.tolist() == margins


def test_loss_rise_finds_what_the_edit_forgets() -> None:
    # Images 0, 1 are noisy (given 1, true 0). The base fits all labels alike: its loss says nothing
    # (all tied, AUROC 1/2). The edit turns 0 and 1 to the true label and leaves the others.
    given = torch.tensor([1, 1, 0, 0, 1])
    true = torch.tensor([0, 0, 0, 0, 1])
    onehot = torch.nn.functional.one_hot
    validation = (onehot(true, 2).float(), true, torch.arange(5))
    noisy = torch.tensor([0, 1])
    base = Predictions(5.0 * onehot(given, 2), given, true, noisy, *validation)
    edited = Predictions(5.0 * onehot(true, 2), given, true, noisy, *validation)
    values = detection(edited, base)
    assert values["auroc_loss"] == values["auroc_margin"] == 0.5
    assert values["ap_loss"] == pytest.approx(2 / 5)
    assert values["auroc_loss_rise"] == values["ap_loss_rise"] == 1.0
    assert "auroc_loss_rise" not in detection(base, base)
