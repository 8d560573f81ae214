"""Labels, conditional forms, reference lines and agreement on fixtures small enough to count by eye."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from vitmem.errors import VitmemError
from vitmem.metrics.agreement import agreement
from vitmem.metrics.labels import conditional, labels, reference
from vitmem.metrics.measure import measure
from vitmem.metrics.per_class import per_class
from vitmem.metrics.predictions import Predictions


def say(classes: list[int], k: int = 3) -> Tensor:
    """Logits (n, k) of a model that says ``classes``."""
    return 4.0 * torch.nn.functional.one_hot(torch.tensor(classes), k).float()


#  image       0  1  2  3  4  5  6  7
#  true        0  0  1  1  2  2  0  1
#  given       1  2  0  2  0  2  0  1     wrong: 0-4, of which 0-3 are the measured half
#  base says   1  2  0  1  0  2  0  1     0, 1, 2 given; 3 true
#  edited      0  2  2  2  0  2  1  1     0 true; 1, 3 given; 2 other
TRUE = torch.tensor([0, 0, 1, 1, 2, 2, 0, 1])
GIVEN = torch.tensor([1, 2, 0, 2, 0, 2, 0, 1])
#  validation  0  1  2  3  4  5           measured half: 0-4
#  true        0  0  1  1  2  2
#  base says   0  1  1  1  0  2           right: 0, 2, 3       -> 3/5
#  edited      0  0  1  0  0  0           right: 0, 1, 2       -> 3/5; 1 won, 3 lost, 0 2 4 equal
VALIDATION = torch.tensor([0, 0, 1, 1, 2, 2])


def predictions(train: list[int], validation: list[int]) -> Predictions:
    return Predictions(
        train_logits=say(train),
        given=GIVEN,
        true=TRUE,
        noisy_rows=torch.arange(4),
        validation_logits=say(validation),
        validation_true=VALIDATION,
        validation_rows=torch.arange(5),
    )


BASE = predictions([1, 2, 0, 1, 0, 2, 0, 1], [0, 1, 1, 1, 0, 2])
EDITED = predictions([0, 2, 2, 2, 0, 2, 1, 1], [0, 0, 1, 0, 0, 0])


def test_per_class() -> None:
    # the measured half has true classes 0 0 1 1 2; the edited model is right on 0, 1 and 2
    # the measured wrong labels are 1 2 0 2; the edited model says 0 2 2 2
    recited = {"memorized_class_0": 0.0, "memorized_class_1": 0.0, "memorized_class_2": 1.0}
    assert per_class(EDITED, BASE) == {
        "validation_class_0": 1.0, "validation_class_1": 0.5, "validation_class_2": 0.0, "worst_class": 0.0, **recited,
    }  # fmt: skip
    few = dataclasses.replace(EDITED, validation_rows=torch.tensor([2, 3]), noisy_rows=torch.tensor([0, 2]))
    assert per_class(few, BASE) == {
        "validation_class_1": 0.5, "worst_class": 0.5, "memorized_class_0": 0.0, "memorized_class_1": 0.0,
    }  # fmt: skip


def test_labels() -> None:
    assert labels(BASE, BASE) == {
        "memorized": 3 / 4, "recovered": 1 / 4, "other": 0.0,
        "clean_train": 1.0, "validation": 3 / 5, "gap": pytest.approx(2 / 5),
    }  # fmt: skip
    assert labels(EDITED, BASE) == {
        "memorized": 2 / 4, "recovered": 1 / 4, "other": 1 / 4,
        "clean_train": 2 / 3, "validation": 3 / 5, "gap": pytest.approx(2 / 3 - 3 / 5),
    }  # fmt: skip


def test_conditional() -> None:
    # The base recites 0, 1, 2: the edited model says true, given, other. Selectivity (3/4 - 2/4) / (1 - 2/3).
    assert conditional(EDITED, BASE) == {
        "conditional_memorized": 1 / 3,
        "conditional_recovered": 1 / 3,
        "conditional_other": 1 / 3,
        "selectivity": pytest.approx(3 / 4),
    }
    assert "selectivity" not in conditional(BASE, BASE)
    assert conditional(BASE, BASE)["conditional_memorized"] == 1.0


def test_reference() -> None:
    # Base on the half, by true class: 0 -> {0: 1/2, 1: 1/2}, 1 -> {1: 1}, 2 -> {0: 1}.
    # Noisy (true, given): (0, 1) 1/2, (0, 2) 0, (1, 0) 0, (1, 2) 0; as true: 1/2, 1/2, 1, 1.
    assert reference(BASE, BASE) == {"reference_memorized": 1 / 8, "reference_recovered": 3 / 4}


def test_reference_under_symmetric_noise() -> None:
    k, n = 10, 20_000
    generator = torch.Generator().manual_seed(0)
    true = torch.randint(k, (n,), generator=generator)
    given = (true + torch.randint(1, k, (n,), generator=generator)) % k
    wrong = torch.rand(n, generator=generator) < 0.4
    said = torch.where(wrong, (true + torch.randint(1, k, (n,), generator=generator)) % k, true)
    rows = torch.arange(n)
    model = Predictions(say(said.tolist(), k), given, true, rows, say(said.tolist(), k), true, rows)
    accuracy = labels(model, model)["validation"]
    assert reference(model, model)["reference_memorized"] == pytest.approx((1 - accuracy) / 9, abs=2e-3)
    assert reference(model, model)["reference_recovered"] == pytest.approx(accuracy, abs=5e-3)


def test_agreement() -> None:
    assert agreement(EDITED, BASE) == {"agreement": 3 / 5, "right_to_wrong": 1 / 5, "wrong_to_right": 1 / 5}
    assert agreement(BASE, BASE) == {"agreement": 1.0, "right_to_wrong": 0.0, "wrong_to_right": 0.0}


def test_measure_is_the_union_without_what_is_undefined() -> None:
    names = set(measure(EDITED, BASE))
    assert {"memorized", "conditional_memorized", "reference_memorized", "ece", "agreement"} <= names
    assert {"ap_loss", "selectivity", "auroc_loss_rise"} <= names
    assert names - set(measure(BASE, BASE)) == {
        "selectivity", "auroc_loss_rise", "ap_loss_rise", "loss_rise_separation",
    }  # fmt: skip


def test_without_noise() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    clean = dataclasses.replace(BASE, given=TRUE, noisy_rows=none)
    values = measure(clean, clean)
    assert set(values) == {
        "clean_train", "validation", "gap", "ece", "adaptive_ece", "nll", "brier",
        "agreement", "right_to_wrong", "wrong_to_right",
        "validation_class_0", "validation_class_1", "validation_class_2", "worst_class",
        "given_train", "train_changed", "train_loss", "train_loss_rise", "held_out_confidence", "held_out_balance",
        "judged_change", "loss_upper_share",
    }  # fmt: skip


def test_bad_predictions() -> None:
    with pytest.raises(VitmemError, match="train predictions: 7 logits, labels"):
        dataclasses.replace(BASE, train_logits=BASE.train_logits[:7])
    with pytest.raises(VitmemError, match="right label"):
        dataclasses.replace(BASE, noisy_rows=torch.tensor([5]))
    broken = BASE.train_logits.clone()
    broken[0, 0] = torch.nan
    with pytest.raises(VitmemError, match="train logits contain NaN"):
        dataclasses.replace(BASE, train_logits=broken)
