"""Views against shares counted by hand."""

from __future__ import annotations

import torch

from vitmem.metrics.predictions import Predictions
from vitmem.metrics.views import views


def test_views_are_shares_of_the_measured_images() -> None:
    said, true = torch.tensor([0, 1, 2, 2, 1]), torch.tensor([0, 1, 1, 2, 0])
    votes = torch.tensor([[0.9, 0.1, 0], [0.2, 0.8, 0], [0, 0.5, 0.5], [0, 0, 1], [1, 0, 0]], dtype=torch.float64)
    left = torch.tensor([True, False, True, True, True])
    predictions = Predictions(
        train_logits=torch.eye(3),
        given=torch.arange(3),
        true=torch.arange(3),
        noisy_rows=torch.arange(0),
        validation_logits=torch.eye(3)[said],
        validation_true=true,
        validation_rows=torch.tensor([0, 1, 2, 3]),
        views={"without_duplicates": left, "agreement_humans": votes, "without_label_errors": ~left & (true == 0)},
    )
    # images 0, 2 and 3 are left, 2 is wrong; votes for what is said: .9, .8, .5 and 1
    assert views(predictions, predictions) == {
        "validation_without_duplicates": 2 / 3,
        "validation_agreement_humans": (0.9 + 0.8 + 0.5 + 1) / 4,
    }
